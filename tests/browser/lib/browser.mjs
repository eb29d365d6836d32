// Opens pages in Chromium, and notices whatever a page must not do.
import assert from 'node:assert/strict';

import { axe, chromium, HtmlValidate } from './packages.mjs';
import { atEnd } from './viraldb.mjs';

export const WIDTHS = [360, 1280];
export const SCHEMES = ['light', 'dark'];

// Starts a browser.
export async function open() {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    // The sandbox does not work as root and in most containers. The tests open only pages of viraldb.
    args: ['--no-sandbox'],
  });
  atEnd(() => browser.close());
  return browser;
}

// Returns a page and the list of what it did wrong. `address` is the only place that it may send requests to.
export async function watched(browser, address, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const faults = [];
  const fault = (text) => faults.push(`${page.url()}: ${text}`);
  page.on('console', (message) => {
    // Chromium also reports the status of a page that is meant to fail. Tests check the status themselves.
    const isStatus = message.text().startsWith('Failed to load resource: the server responded with a status of');
    if (!isStatus || message.location().url !== page.url()) fault(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => fault(`error: ${error}`));
  page.on('crash', () => fault('the page crashed'));
  page.on('dialog', (dialog) => {
    fault(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on('popup', (popup) => fault(`popup: ${popup.url()}`));
  page.on('download', (download) => fault(`download: ${download.url()}`));
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(`${address}/`) && !url.startsWith('data:image/svg+xml,') && url !== address)
      fault(`request to ${url}`);
  });
  page.on('requestfailed', (request) => {
    const text = request.failure()?.errorText;
    if (text !== 'net::ERR_ABORTED') fault(`request failed: ${request.url()}: ${text}`);
  });
  return { page, context, faults };
}

// Returns what is wrong with the shown page in any width and color scheme.
export async function faultsOfLayout(page) {
  const faults = [];
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 900 });
    const wide = await page.evaluate(() => {
      if (document.documentElement.scrollWidth <= window.innerWidth) return [];
      const parts = [...document.querySelectorAll('body *')].filter((part) => {
        const box = part.getBoundingClientRect();
        return box.right > window.innerWidth + 1 && !part.closest('.scroll, .side, svg, .hidden');
      });
      return [document.documentElement.scrollWidth, ...parts.slice(0, 5).map((part) => part.outerHTML.slice(0, 120))];
    });
    if (wide.length) faults.push(`${page.url()}: wider than ${width}: ${wide.join('\n    ')}`);
  }
  return faults;
}

// Returns the violations that axe-core finds in the shown page, in each width and color scheme. `quick` tries each width and
// each scheme only once.
export async function faultsOfAccess(page, { quick = false } = {}) {
  const faults = new Map();
  // The policy of the page forbids scripts of others, but does not apply to the protocol of the developer tools.
  const tools = await page.context().newCDPSession(page);
  const run = async (expression) => {
    const { result, exceptionDetails } = await tools.send('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  };
  await run(`${axe}; undefined`);
  for (const width of WIDTHS) {
    for (const colorScheme of SCHEMES) {
      if (quick && (width === WIDTHS[0]) === (colorScheme === SCHEMES[0])) continue;
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme });
      const found = await run(`(async () => {
        const closed = [...document.querySelectorAll('details:not([open])')];
        for (const part of closed) part.open = true;
        const { violations } = await axe.run(document, { resultTypes: ['violations'] });
        for (const part of closed) part.open = false;
        return violations.map((rule) => rule.id + ' (' + rule.nodes.length + '): ' + rule.help + ': '
          + rule.nodes[0].html.slice(0, 200) + ' ' + (rule.nodes[0].any[0]?.message ?? ''));
      })()`);
      for (const text of found) faults.set(text, `${faults.get(text) ?? ''} ${width} ${colorScheme}`);
    }
  }
  await tools.detach();
  await page.emulateMedia({ colorScheme: null });
  return [...faults].map(([text, where]) => `${page.url()}:${where}: ${text}`);
}

const validator = new HtmlValidate({
  root: true,
  extends: ['html-validate:standard', 'html-validate:a11y'],
  rules: {},
});

// Returns the errors that the validator finds in a document.
export async function faultsOfHtml(html, name) {
  // Characters that HTML must not contain, which html-validate does not look for: control characters and noncharacters.
  const forbidden = html.match(/.{0,40}[\p{Cc}\p{Noncharacter_Code_Point}](?<![\t\n\f\r]).{0,40}/gu) ?? [];
  const report = await validator.validateString(html);
  const characters = forbidden
    .slice(0, 3)
    .map((text) => `${name}: a character that HTML must not contain: ${JSON.stringify(text)}`);
  return characters.concat(
    report.results
      .flatMap((result) => result.messages)
      .map((message) => {
        const line = html.split('\n')[message.line - 1] ?? '';
        const start = Math.max(0, message.column - 60);
        return `${name}: ${message.ruleId}: ${message.message}: ${line.slice(start, start + 160)}`;
      }),
  );
}

// Fails with the first of the faults and their number.
export function none(faults) {
  assert.ok(
    faults.length === 0,
    `${faults.length} faults:\n${faults
      .slice(0, 40)
      .map((fault) => fault.slice(0, 500))
      .join('\n')}`,
  );
}
