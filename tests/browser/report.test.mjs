// The report: one file that needs nothing else.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { faultsOfAccess, faultsOfHtml, faultsOfLayout, none, open, watched } from './lib/browser.mjs';
import { fillHostile, MARK, Rows } from './lib/data.mjs';
import { postgres } from './lib/postgres.mjs';
import { finish, scratch, viraldb } from './lib/viraldb.mjs';

after(finish);

for (const engine of ['SQLite', 'PostgreSQL']) {
  for (const data of engine === 'SQLite' ? ['hostile rows', 'the sample', 'no rows'] : ['hostile rows']) {
    describe(`the report of a database with ${data} on ${engine}`, () => {
      const file = join(scratch(), 'report.html');
      const address = pathToFileURL(file).href;
      let browser;

      before(async () => {
        const filled = new Rows();
        if (data === 'hostile rows') fillHostile(filled, { nul: engine === 'SQLite' });
        if (data === 'the sample') viraldb(['init', '--sample', '--quiet'], { url: filled.url });
        const url = engine === 'SQLite' ? filled.url : filled.copyTo(postgres());
        filled.close();
        viraldb(['report', '--output', file], { url });
        browser = await open();
      });

      test('it loads nothing, runs nothing and fits', async () => {
        for (const javaScriptEnabled of [true, false]) {
          const { page, faults } = await watched(browser, address, { javaScriptEnabled });
          await page.goto(address);
          faults.push(...(await faultsOfLayout(page)));
          const text = await page.locator('main').innerText();
          assert.ok(text.includes('Report on the last') && (data !== 'hostile rows' || text.includes(MARK)));
          assert.equal(await page.locator('script, img, iframe, [style]').count(), 0);
          for (const link of await page.locator('nav a').all()) {
            const target = await link.getAttribute('href');
            assert.match(target, /^#[a-z]+$/);
            assert.equal(await page.locator(target).count(), 1, target);
          }
          none(faults);
        }
      });

      test('axe-core finds no violations', async () => {
        const { page } = await watched(browser, address);
        await page.goto(address);
        none(await faultsOfAccess(page));
      });

      test('the HTML is valid', async () => {
        none(await faultsOfHtml(readFileSync(file, 'utf8'), 'report.html'));
      });

      test('it prints', async () => {
        const { page, faults } = await watched(browser, address);
        await page.goto(address);
        const pdf = await page.pdf({ format: 'A4', printBackground: true });
        assert.ok(pdf.length > 10_000);
        none(faults);
      });
    });
  }
}
