// Every page of the dashboard, with hostile text in every text column of the database.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { faultsOfAccess, faultsOfHtml, faultsOfLayout, none, open, watched } from './lib/browser.mjs';
import { fillHostile, HOSTILE, MARK, Rows } from './lib/data.mjs';
import { postgres } from './lib/postgres.mjs';
import { finish, serve } from './lib/viraldb.mjs';

after(finish);

// One pattern for each kind of page, and the number of pages of that kind to open.
const KINDS = [
  [/^\/$/, 1],
  [/^\/(queue|pipeline|channels|videos|trends|money|storage|errors|doctor)$/, 9],
  [/^\/tables$/, 1],
  [/^\/tables\/[^/]+$/, 22],
  [/^\/tables\/[^/]+\/[^/]+$/, 44],
  [/^\/runs\/[^/]+$/, 6],
  [/^\/jobs\/[^/]+$/, 5],
  [/^\/channels\/[^/]+$/, 3],
  [/^\/videos\/[^/]+$/, 6],
  [/^\/search$/, 2],
];
const kindOf = (path) => KINDS.findIndex(([pattern]) => pattern.test(path.split('?')[0]));

const SECTIONS = [
  '/',
  '/queue',
  '/pipeline',
  '/channels',
  '/videos',
  '/trends',
  '/money',
  '/storage',
  '/errors',
  '/doctor',
];

// Returns the links of the shown page.
const links = (page) =>
  page.evaluate(() =>
    [...document.querySelectorAll('a')].map((link) => new URL(link.getAttribute('href'), location.href).href),
  ); // also links in SVG

for (const engine of ['SQLite', 'PostgreSQL']) {
  describe(`pages on ${engine}`, () => {
    let keys; // the keys of the rows of each table
    let withText; // the tables with hostile text
    let dashboard;
    let browser;

    before(async () => {
      const filled = new Rows();
      ({ keys, withText } = fillHostile(filled, { nul: engine === 'SQLite' }));
      const url = engine === 'SQLite' ? filled.url : filled.copyTo(postgres());
      filled.close();
      dashboard = await serve(url);
      browser = await open();
    });

    const addresses = (table) => keys.get(table).map((key) => `/tables/${table}/${encodeURIComponent(key)}`);

    // Returns an address for each kind of page.
    function examples() {
      const first = (table) => encodeURIComponent(keys.get(table)[0]);
      return [
        ...SECTIONS,
        '/?since=90d',
        '/queue?since=7d',
        '/videos?since=30d&niche=gaming',
        '/tables',
        '/tables/videos',
        '/tables/channels',
        '/tables/config_overrides',
        `/tables/channels/${first('channels')}`,
        `/tables/config_overrides/${first('config_overrides')}`,
        `/runs/${first('pipeline_runs')}`,
        `/jobs/${first('video_processing_jobs')}`,
        `/channels/${first('channels')}`,
        `/videos/${first('videos')}`,
        `/videos/${encodeURIComponent(HOSTILE[0])}`,
        '/search?q=script',
        '/search?q=no+such+text',
        '/search?q=%3Cscript%3Ealert(1)',
        '/search',
        '/missing',
        '/runs/999999',
        '/tables/missing',
        '/queue?since=never',
      ];
    }

    // The doctor's first report comes a moment after the start.
    async function settled(page) {
      await page.goto(`${dashboard.address}/doctor`);
      for (
        let tries = 0;
        tries < 60 && (await page.getByText('The first examination is running.').count());
        tries += 1
      ) {
        await page.waitForTimeout(500);
        await page.reload();
      }
    }

    test('a crawl finds no errors, foreign requests, broken links or scripts from the database', async () => {
      const { page, faults } = await watched(browser, dashboard.address);
      await settled(page);
      const counts = KINDS.map(() => 0);
      const queue = ['/', '/search?q=script', ...addresses('config_overrides')];
      const seen = new Set(queue);
      while (queue.length) {
        const path = queue.shift();
        const kind = kindOf(path);
        if (kind < 0) {
          faults.push(`unknown kind of page: ${path}`);
          continue;
        }
        if (counts[kind] >= KINDS[kind][1] * (path.includes('?') ? 1.5 : 1)) continue;
        counts[kind] += 1;
        const response = await page.goto(dashboard.address + path);
        if (response.status() !== 200) faults.push(`${path}: status ${response.status()}`);
        const injected = await page.evaluate(() => {
          const wanted =
            'script:not(head > script[src]), img, iframe, object, embed, base, link:not(head > link), [style], style';
          const parts = [...document.querySelectorAll(wanted)];
          const handlers = [...document.querySelectorAll('*')].filter((part) =>
            [...part.attributes].some((of) => /^on/.test(of.name)),
          );
          return [...parts, ...handlers].map((part) => part.outerHTML.slice(0, 100));
        });
        for (const part of injected) faults.push(`${path}: from the database: ${part}`);
        faults.push(...(await faultsOfLayout(page)));
        for (const href of await links(page)) {
          const to = new URL(href);
          if (to.origin !== dashboard.address) {
            if (!/^https?:$/.test(to.protocol)) faults.push(`${path}: link to ${href.slice(0, 80)}`);
            continue;
          }
          const next = to.pathname + to.search;
          if (!seen.has(next)) queue.push(next);
          seen.add(next);
        }
      }
      none(faults);
      counts.forEach((count, kind) => assert.ok(count > 0, `the crawl found no page ${KINDS[kind][0]}`));
      const tables = [...seen].filter((path) => /^\/tables\/[a-z_]+$/.test(path));
      assert.equal(tables.length, 22, `tables: ${tables}`);
    });

    test('hostile text shows as text', async () => {
      const { page, faults } = await watched(browser, dashboard.address);
      const shown = async (path) => {
        await page.goto(dashboard.address + path);
        return page.locator('main').innerText();
      };
      for (const path of [
        '/',
        '/queue',
        '/pipeline',
        '/channels',
        '/videos',
        '/trends',
        '/errors',
        '/tables/videos',
        '/tables/channels',
      ]) {
        assert.ok((await shown(path)).includes(MARK), path);
      }
      for (const table of withText.filter((name) => !name.startsWith('viraldb_'))) {
        for (const path of [`/tables/${table}`, addresses(table)[2], addresses(table).at(-1)]) {
          assert.ok((await shown(path)).includes(MARK), path);
        }
      }
      const whole = addresses('error_log');
      for (const [at, text] of HOSTILE.entries()) {
        // Pages show control characters as other characters, and white space as the browser collapses it.
        const words = text
          .slice(0, 500)
          .split(/[\s\u0000-\u001f\u007f-\u009f\uffff\u202c]+/u)
          .filter((word) => word);
        const inner = await shown(whole[at]);
        for (const word of words) assert.ok(inner.includes(word.slice(0, 100)), `${whole[at]}: ${word.slice(0, 100)}`);
      }
      none(faults);
    });

    test('axe-core finds no violations', async () => {
      const { page, faults } = await watched(browser, dashboard.address);
      await settled(page);
      for (const path of examples()) {
        await page.goto(dashboard.address + path);
        faults.push(...(await faultsOfAccess(page, { quick: engine === 'PostgreSQL' })));
      }
      none(faults);
    });

    test('the HTML is valid', async () => {
      const faults = [];
      for (const path of examples()) {
        const response = await fetch(dashboard.address + path);
        faults.push(...(await faultsOfHtml(await response.text(), path)));
      }
      none(faults);
    });

    test('unknown addresses answer with a page that says what is wrong', async () => {
      const { page, faults } = await watched(browser, dashboard.address);
      for (const [path, status] of [
        ['/missing', 404],
        ['/runs/999999', 404],
        ['/tables/missing', 404],
        ['/queue?since=never', 400],
      ]) {
        const response = await page.goto(dashboard.address + path);
        assert.equal(response.status(), status, path);
        assert.ok((await page.locator('main').innerText()).length > 20, path);
        await page.getByRole('navigation').getByRole('link', { name: 'At a glance' }).click();
        assert.equal(new URL(page.url()).pathname, '/');
      }
      none(faults);
    });

    test('everything can be read without JavaScript', async () => {
      const { page, faults } = await watched(browser, dashboard.address, { javaScriptEnabled: false });
      await page.goto(dashboard.address);
      const names = await page.getByRole('navigation').getByRole('link').allInnerTexts();
      assert.ok(names.length >= 11, `${names}`);
      for (const name of names) {
        await page
          .getByRole('navigation')
          .getByRole('link', { name: name.split('\n')[0].trim(), exact: true })
          .click();
        assert.equal(await page.locator('nav [aria-current=page]').innerText(), name);
        assert.ok((await page.locator('main').innerText()).length > 40, name);
      }
      await page.goto(`${dashboard.address}/queue`);
      await page.getByLabel('Period').selectOption('7d');
      await page.getByRole('button', { name: 'Show' }).click();
      assert.match(page.url(), /\/queue\?since=7d/);
      const details = page.locator('details').first();
      await details.locator('summary').click();
      assert.ok(await details.evaluate((part) => part.open));
      await page.getByRole('searchbox', { name: 'Search' }).first().fill('script');
      await page.getByRole('button', { name: 'Search' }).click();
      assert.match(page.url(), /\/search\?q=script/);
      await page.locator('main a').first().click();
      assert.ok((await page.locator('main').innerText()).includes(MARK));
      none(faults);
    });

    test('the keyboard reaches everything, and the focus is visible', async () => {
      const { page, faults } = await watched(browser, dashboard.address);
      for (const path of ['/', '/queue', '/tables/videos']) {
        await page.goto(dashboard.address + path);
        await page.keyboard.press('Tab');
        const skip = page.getByRole('link', { name: 'Skip to the content' });
        assert.ok(
          await skip.evaluate((link) => link === document.activeElement),
          `${path}: the first Tab focuses the skip link`,
        );
        const box = await skip.boundingBox();
        assert.ok(box.x >= 0 && box.y >= 0 && box.width > 40 && box.height > 10, `${path}: the skip link is visible`);
        const reached = await page.evaluate(
          () => document.querySelectorAll('a[href], button, input:not([type=hidden]), select, summary').length,
        );
        const focused = new Set();
        for (let step = 0; step < Math.min(reached + 20, 150); step += 1) {
          const look = () =>
            page.evaluate(() => {
              const part = document.activeElement;
              if (part === document.body) return null;
              const style = getComputedStyle(part);
              const ring = style.outlineStyle !== 'none' && Number.parseFloat(style.outlineWidth) >= 1;
              const box = part.getBoundingClientRect();
              const inView = box.bottom > 0 && box.top < innerHeight && box.width > 0;
              return ring && inView ? '' : `${part.outerHTML.slice(0, 120)} ${style.outline} ${inView}`;
            });
          let fault = await look();
          if (fault) await page.waitForTimeout(300); // while it scrolls
          if (fault) fault = await look();
          if (fault) faults.push(`${path}: no visible focus: ${fault}`);
          focused.add(await page.evaluate(() => document.activeElement.closest('nav, main, header')?.tagName));
          await page.keyboard.press('Tab');
        }
        assert.ok(
          ['NAV', 'MAIN', 'HEADER'].every((part) => focused.has(part)),
          `${path}: ${[...focused]}`,
        );
        await page.goto(dashboard.address + path);
        await page.keyboard.press('Tab');
        await page.keyboard.press('Enter');
        assert.equal(await page.evaluate(() => document.activeElement.id), 'content', path);
      }
      none(faults);
    });
  });
}
