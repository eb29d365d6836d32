// Takes screenshots of the dashboard with the demo data.
//
//   tests/browser/run screenshots            the four of the book, into docs/src/images
//   tests/browser/run screenshots FOLDER     every kind of page, in three widths and both color schemes
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { demo } from './demo.mjs';
import { open } from './lib/browser.mjs';
import { finish, serve, viraldb } from './lib/viraldb.mjs';

const BOOK = [
  ['/', 'dashboard', 1280, 'light'],
  ['/queue', 'dashboard-queue', 1280, 'dark'],
  ['run', 'dashboard-run', 1280, 'light'],
  ['/', 'dashboard-phone', 360, 'dark'],
];
const PAGES = [
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
  '/tables',
  '/tables/videos',
  'run',
  'job',
  'channel',
  'video',
  '/search?q=cat',
];
const WIDTHS = [360, 1280, 2560];

const chosen = process.argv[2];
const folder = chosen ? resolve(chosen) : resolve(import.meta.dirname, '../../docs/src/images');
mkdirSync(folder, { recursive: true });

const { url, keys } = demo();
const { address } = await serve(url, '--allow-actions');
const browser = await open();

async function shoot(page, name, width, colorScheme) {
  const isOfBook = !chosen;
  const context = await browser.newContext({ viewport: { width, height: width < 500 ? 740 : 900 }, colorScheme });
  const shown = await context.newPage();
  const path = page.startsWith('/') ? page : `/${page}s/${keys[page]}`;
  // A day of jobs and a month of everything else.
  const period =
    path === '/pipeline'
      ? '?since=7d'
      : ['/channels', '/videos', '/trends', '/money', '/errors'].includes(path)
        ? '?since=30d'
        : '';
  // The first examination of the doctor ends a moment after the start.
  for (let tries = 0; tries < 20; tries += 1) {
    await shown.goto(address + path + period);
    if (!(await shown.getByText('The first examination is running.').count())) break;
    await shown.waitForTimeout(500);
  }
  await shown.screenshot({ path: join(folder, `${name}.png`), fullPage: !isOfBook });
  console.log(`${name}.png`);
  await context.close();
}

if (chosen) {
  for (const page of PAGES) {
    const name = page.split('?')[0].replaceAll('/', '-').replace(/^-/, '') || 'glance';
    for (const width of WIDTHS) {
      for (const scheme of ['light', 'dark']) await shoot(page, `${name}-${width}-${scheme}`, width, scheme);
    }
  }
  viraldb(['report', '--since', '30d', '--output', join(folder, 'report.html')], { url });
} else {
  for (const [page, name, width, scheme] of BOOK) await shoot(page, name, width, scheme);
}
await finish();
process.exit(0);
