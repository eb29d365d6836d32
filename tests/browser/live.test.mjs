// Pages that show changes of the database without being loaded again.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { none, open, watched } from './lib/browser.mjs';
import { Rows } from './lib/data.mjs';
import { postgres } from './lib/postgres.mjs';
import { finish, serve, viraldb } from './lib/viraldb.mjs';

after(finish);

for (const engine of ['SQLite', 'PostgreSQL']) {
  describe(`live updates on ${engine}`, () => {
    let url;
    let dashboard;
    let browser;

    before(async () => {
      const empty = new Rows();
      url = engine === 'SQLite' ? empty.url : empty.copyTo(postgres());
      empty.close();
      viraldb(['errors', 'log', '--module', 'upload', '--type', 'TimeoutError', 'the first error'], { url });
      dashboard = await serve(url);
      browser = await open();
    });

    test('a new row appears, and what the reader did stays', async () => {
      const { page, faults } = await watched(browser, dashboard.address);
      await page.goto(`${dashboard.address}/errors`);
      await page.getByText('the first error').first().waitFor();
      await page.evaluate(() => {
        window.isSamePage = true;
      });
      const details = page.locator('main details').first();
      await details.locator('summary').click();
      await details.locator('summary').focus();
      viraldb(['errors', 'log', '--module', 'upload', '--type', 'TimeoutError', 'the second error'], { url });
      await page.getByText('the second error').first().waitFor();
      assert.ok(await page.evaluate(() => window.isSamePage), 'the page was loaded again');
      assert.ok(await details.evaluate((part) => part.open), 'the details are closed');
      const focused = await page.evaluate(
        () => document.activeElement === document.querySelector('main details summary'),
      );
      assert.ok(focused, 'the focus is lost');
      none(faults);
    });

    test('updates can be paused and resumed', async () => {
      const { page, faults } = await watched(browser, dashboard.address);
      await page.goto(`${dashboard.address}/errors`);
      await page.getByRole('button', { name: 'Pause updates' }).click();
      viraldb(['errors', 'log', '--module', 'upload', '--type', 'TimeoutError', 'the third error'], { url });
      await page.waitForTimeout(7_000);
      assert.equal(await page.getByText('the third error').count(), 0);
      await page.getByRole('button', { name: 'Resume updates' }).click();
      await page.getByText('the third error').first().waitFor();
      none(faults);
    });

    test('a form that the reader fills in is not replaced', async () => {
      const { page, faults } = await watched(browser, dashboard.address);
      await page.goto(`${dashboard.address}/pipeline`);
      await page.getByLabel('Niche').fill('gam');
      await page.waitForTimeout(7_000);
      assert.equal(await page.getByLabel('Niche').inputValue(), 'gam');
      none(faults);
    });

    // It takes half a minute, and does not depend on the engine.
    if (engine === 'SQLite')
      test('the page says when the dashboard does not answer, and recovers', async () => {
        const { page } = await watched(browser, dashboard.address);
        await page.goto(`${dashboard.address}/errors`);
        await page.context().setOffline(true);
        await page.getByText('the dashboard does not answer').waitFor({ timeout: 40_000 });
        await page.context().setOffline(false);
        await page.getByText('the dashboard does not answer').waitFor({ state: 'detached', timeout: 60_000 });
      });
  });
}
