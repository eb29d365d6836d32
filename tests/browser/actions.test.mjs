// What visitors may change with --allow-actions.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { faultsOfAccess, faultsOfHtml, none, open, watched } from './lib/browser.mjs';
import { now, Rows } from './lib/data.mjs';
import { postgres } from './lib/postgres.mjs';
import { finish, rows, serve, viraldb } from './lib/viraldb.mjs';

after(finish);

// Inserts what the actions change, and returns the keys.
function fill(db) {
  const channel = db.insert('channels', {
    id: randomUUID(),
    name: 'Daily clips',
    youtube_channel_id: 'UC1',
    youtube_channel_url: 'https://youtube.com/@dailyclips',
    api_credentials_encrypted: '',
    posting_schedule: '{}',
    content_filters: '{}',
    metadata_template: '{}',
  });
  const video = db.insert('videos', {
    id: randomUUID(),
    channel_id: channel,
    source_url: 'https://example.com/1',
    source_title: 'A video',
    source_platform: 'tiktok',
  });
  const job = (status, more = {}) =>
    db.insert('video_processing_jobs', {
      id: randomUUID(),
      video_id: video,
      channel_id: channel,
      job_type: 'download',
      status,
      ...more,
    });
  const leased = () => ({
    attempts: 1,
    started_at: now(),
    lease_token: randomUUID(),
    leased_by: 'worker-1',
    lease_expires_at: now(3600),
  });
  const run = (status) =>
    db.insert('pipeline_runs', {
      niche: 'gaming',
      cycle_start: now(-3600),
      cycle_end: now(),
      status,
      started_at: now(),
    });
  const review = (of) => db.insert('review_log', { pipeline_run_id: of });
  const reviewed = ['approve', 'reject', 'hold'].map((action) => {
    const of = run('review');
    return [action, { run: of, review: review(of) }];
  });
  const failed = () => job('failed', { attempts: 3, error_message: 'HTTP 403', completed_at: now() });
  return {
    failed: failed(),
    queued: job('queued'),
    processing: job('processing', leased()),
    canceled: job('processing', leased()),
    error: db.insert('error_log', { module: 'upload', error_type: 'TimeoutError', error_message: 'no answer' }),
    untouched: failed(),
    ...Object.fromEntries(reviewed),
  };
}

for (const engine of ['SQLite', 'PostgreSQL']) {
  describe(`actions on ${engine}`, () => {
    let url;
    let keys;
    let dashboard;
    let browser;

    before(async () => {
      const filled = new Rows();
      keys = fill(filled);
      url = engine === 'SQLite' ? filled.url : filled.copyTo(postgres());
      filled.close();
      dashboard = await serve(url, '--allow-actions');
      browser = await open();
    });

    const find = (table, id) => rows(url, table).find((row) => row.id === id);

    // Opens a page, clicks a button, and waits for the page that says what was done.
    async function click(path, name) {
      const { page, context, faults } = await watched(browser, dashboard.address);
      await page.goto(dashboard.address + path);
      faults.push(...(await faultsOfHtml(await page.content(), path)));
      await page.locator('main .actions').getByRole('button', { name }).first().click();
      const notice = await page.locator('.notice').innerText();
      faults.push(...(await faultsOfAccess(page, { quick: true })));
      none(faults);
      await context.close();
      return notice;
    }

    test('a failed job can be retried', async () => {
      assert.match(await click(`/jobs/${keys.failed}`, 'Retry'), /is queued again/);
      assert.equal(find('video_processing_jobs', keys.failed).status, 'queued');
    });

    test('a queued job and a running one can be canceled', async () => {
      for (const id of [keys.queued, keys.canceled]) {
        assert.match(await click(`/jobs/${id}`, 'Cancel'), /is canceled/);
        assert.equal(find('video_processing_jobs', id).status, 'failed');
      }
    });

    test('a running job can be released', async () => {
      assert.match(await click(`/jobs/${keys.processing}`, 'Release'), /is released/);
      const job = find('video_processing_jobs', keys.processing);
      assert.deepEqual([job.status, job.attempts, job.lease_token], ['queued', 0, null]);
    });

    for (const [action, name, status] of [
      ['approve', 'Approve', 'approved'],
      ['reject', 'Reject', null],
      ['hold', 'Hold', 'review'],
    ]) {
      test(`a review can be answered: ${action}`, async () => {
        const { run, review } = keys[action];
        await click(`/runs/${run}`, name);
        assert.equal(find('review_log', review).action, action);
        if (status) assert.equal(find('pipeline_runs', run).status, status);
      });
    }

    test('an error can be resolved', async () => {
      assert.match(await click(`/tables/error_log/${keys.error}`, 'Resolve'), /is resolved/);
      assert.equal(find('error_log', keys.error).resolved, true);
    });

    test('the queue can be paused and resumed', async () => {
      const paused = () => JSON.parse(viraldb(['status', '--json'], { url })).queue_paused;
      assert.match(await click('/queue', 'Pause'), /is paused/);
      assert.equal(paused(), true);
      assert.match(await click('/queue', 'Resume'), /is resumed/);
      assert.equal(paused(), false);
    });

    test('every action leaves a line in the log', () => {
      for (const action of ['retry', 'cancel', 'release', 'approve', 'reject', 'hold', 'resolve', 'pause', 'resume']) {
        assert.match(dashboard.log, new RegExp(`INFO.*done.*action="?${action}`));
      }
    });

    test('a form without the right token, or from another site, is refused', async () => {
      const { page, context } = await watched(browser, dashboard.address);
      await page.goto(`${dashboard.address}/queue`);
      const token = await page.locator('input[name=token]').first().inputValue();
      const post = (form, headers = {}) =>
        context.request.post(`${dashboard.address}/jobs/${keys.untouched}/retry`, { form, headers, maxRedirects: 0 });
      const other = await browser.newContext();
      const otherPage = await other.newPage();
      await otherPage.goto(`${dashboard.address}/queue`);
      const foreign = await otherPage.locator('input[name=token]').first().inputValue();
      assert.notEqual(token, foreign);
      for (const form of [{}, { token: '' }, { token: 'x' }, { token: foreign }, { token: token.toUpperCase() }]) {
        assert.equal((await post(form)).status(), 403, JSON.stringify(form));
      }
      for (const origin of ['http://evil.example', 'null', dashboard.address.replace('127.0.0.1', 'localhost')]) {
        assert.equal((await post({ token }, { origin })).status(), 403, origin);
      }
      assert.equal((await post({ token }, { 'sec-fetch-site': 'cross-site' })).status(), 403);
      assert.equal(find('video_processing_jobs', keys.untouched).status, 'failed');
      assert.equal((await post({ token })).status(), 303);
      assert.equal(find('video_processing_jobs', keys.untouched).status, 'queued');
    });

    test('a page of another site can send no form', async () => {
      const paused = () => JSON.parse(viraldb(['status', '--json'], { url })).queue_paused;
      const before = paused();
      const { page } = await watched(browser, dashboard.address);
      await page.goto(`${dashboard.address}/queue`); // gets the cookie
      const token = await page.locator('input[name=token]').first().inputValue();
      await page.route('http://evil.example/', (route) =>
        route.fulfill({
          contentType: 'text/html',
          body: `<form method="post" action="${dashboard.address}/queue/${before ? 'resume' : 'pause'}"><input name="token" value="${token}"><button>x</button></form>`,
        }),
      );
      await page.goto('http://evil.example/');
      const [response] = await Promise.all([
        page.waitForResponse((of) => of.url().startsWith(`${dashboard.address}/queue/`)),
        page.getByRole('button').click(),
      ]);
      assert.equal(response.status(), 403);
      assert.equal(paused(), before);
    });

    test('without --allow-actions there are no forms, and posts are refused', async () => {
      const readOnly = await serve(url);
      const { page, context, faults } = await watched(browser, readOnly.address);
      for (const path of [
        '/queue',
        `/jobs/${keys.failed}`,
        `/runs/${keys.hold.run}`,
        `/tables/error_log/${keys.error}`,
      ]) {
        await page.goto(readOnly.address + path);
        assert.equal(await page.locator('form[method=post]').count(), 0, path);
      }
      none(faults);
      const before = find('video_processing_jobs', keys.failed).status;
      const response = await context.request.post(`${readOnly.address}/jobs/${keys.failed}/cancel`, {
        form: { token: 'x' },
      });
      assert.equal(response.status(), 403);
      assert.equal(find('video_processing_jobs', keys.failed).status, before);
      await readOnly.stop();
    });
  });
}
