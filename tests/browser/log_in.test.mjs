// Who may see the dashboard.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { faultsOfAccess, faultsOfHtml, faultsOfLayout, none, open, watched } from './lib/browser.mjs';
import { Rows } from './lib/data.mjs';
import { postgres } from './lib/postgres.mjs';
import { finish, scratch, serve, viraldb } from './lib/viraldb.mjs';

after(finish);

const PASSWORD = 'correct horse battery';
const TOKEN = '0123456789abcdef0123456789abcdef';

for (const engine of ['SQLite', 'PostgreSQL']) {
  describe(`log-in on ${engine}`, () => {
    let url;
    let dashboard;
    let browser;

    before(async () => {
      const empty = new Rows();
      url = engine === 'SQLite' ? empty.url : empty.copyTo(postgres());
      empty.close();
      const users = join(scratch(), 'users');
      writeFileSync(users, viraldb(['serve', '--hash-password', 'ana'], { input: PASSWORD }), { mode: 0o600 });
      dashboard = await serve(url, '--auth-file', users);
      browser = await open();
    });

    async function logIn(page, user, password) {
      await page.getByLabel('User').fill(user);
      await page.getByLabel('Password').fill(password);
      await page.getByRole('button', { name: 'Log in' }).click();
    }

    test('a visitor logs in, sees the page that was asked for, and logs out', async () => {
      const { page, context, faults } = await watched(browser, dashboard.address);
      await page.goto(`${dashboard.address}/queue?since=7d`);
      assert.equal(new URL(page.url()).pathname, '/login');
      faults.push(
        ...(await faultsOfLayout(page)),
        ...(await faultsOfAccess(page)),
        ...(await faultsOfHtml(await page.content(), '/login')),
      );

      for (const [user, password] of [
        ['ana', 'wrong'],
        ['ben', PASSWORD],
      ]) {
        await logIn(page, user, password);
        assert.match(await page.getByRole('alert').innerText(), /name or the password is wrong/);
        faults.push(...(await faultsOfAccess(page)));
        assert.equal((await context.request.get(`${dashboard.address}/queue`, { maxRedirects: 0 })).status(), 303);
      }

      await logIn(page, 'ana', PASSWORD);
      await page.waitForURL('**/queue?since=7d');
      faults.push(...(await faultsOfAccess(page)), ...(await faultsOfHtml(await page.content(), '/queue')));
      const [cookie] = await context.cookies();
      assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, 'Strict']);
      assert.equal(await page.evaluate(() => document.cookie), '');

      await page.getByRole('button', { name: 'Log out' }).click();
      await page.waitForURL('**/login');
      await page.goto(`${dashboard.address}/`);
      assert.equal(new URL(page.url()).pathname, '/login');
      // The cookie of the session that ended is worth nothing.
      await context.addCookies([cookie]);
      await page.goto(`${dashboard.address}/`);
      assert.equal(new URL(page.url()).pathname, '/login');
      none(faults);
    });

    test('a visitor logs in without JavaScript', async () => {
      const { page, faults } = await watched(browser, dashboard.address, { javaScriptEnabled: false });
      await page.goto(`${dashboard.address}/`);
      await logIn(page, 'ana', PASSWORD);
      assert.equal(new URL(page.url()).pathname, '/');
      none(faults);
    });

    test('the log-in leads to no other site', async () => {
      const { page, faults } = await watched(browser, dashboard.address);
      await page.goto(`${dashboard.address}/login?next=//evil.example/`);
      await logIn(page, 'ana', PASSWORD);
      assert.equal(page.url(), `${dashboard.address}/`);
      none(faults);
    });

    test('many attempts are refused', async () => {
      const statuses = [];
      for (let tries = 0; tries < 12; tries += 1) {
        const body = new URLSearchParams({ user: 'ana', password: 'wrong' });
        statuses.push((await fetch(`${dashboard.address}/login`, { method: 'POST', body })).status);
      }
      assert.ok(statuses.includes(429), `${statuses}`);
    });

    test('a visitor logs in with the token where there are no users', async () => {
      const file = join(scratch(), 'token');
      writeFileSync(file, `${TOKEN}\n`, { mode: 0o600 });
      const other = await serve(url, '--token-file', file);
      const { page, faults } = await watched(browser, other.address);
      await page.goto(`${other.address}/`);
      faults.push(...(await faultsOfAccess(page)), ...(await faultsOfHtml(await page.content(), '/login')));
      await page.getByLabel('Token').fill('wrong');
      await page.getByRole('button', { name: 'Log in' }).click();
      await page.getByRole('alert').waitFor();
      await page.getByLabel('Token').fill(TOKEN);
      await page.getByRole('button', { name: 'Log in' }).click();
      assert.equal(page.url(), `${other.address}/`);
      const get = (token) => fetch(`${other.address}/metrics`, { headers: { authorization: `Bearer ${token}` } });
      assert.deepEqual([(await get(TOKEN)).status, (await get('wrong')).status], [200, 401]);
      none(faults);
      await other.stop();
    });

    test('a request with an unknown host name is refused', async () => {
      const { page } = await watched(browser, dashboard.address);
      // Chromium resolves every name that ends in .localhost to this machine, as a site could with a name of its own.
      const response = await page.goto(dashboard.address.replace('127.0.0.1', 'evil.localhost'));
      assert.equal(response.status(), 421);
    });
  });
}
