// A database as three channels leave it after a month of work, for screenshots. The numbers are random but always the same.
import { randomUUID } from 'node:crypto';

import { now, Rows } from './lib/data.mjs';
import { viraldb } from './lib/viraldb.mjs';

const HOUR = 3600;
const DAY = 24 * HOUR;

let seed = 42;
// Returns a number from 0 to 1.
function random() {
  seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
  return seed / 2_147_483_648;
}
const between = (least, most) => Math.round(least + random() * (most - least));
const one = (...choices) => choices[Math.floor(random() * choices.length)];

const TITLES = [
  'He parked in the last spot and instantly regretted it',
  '10 kitchen gadgets you did not know you need',
  'This goalkeeper saved three penalties in a row',
  'Cat learns to open the fridge',
  'Speedrun world record by 0.02 seconds',
  'Street food in Osaka for two dollars',
  'The quietest room in the world',
  'Dog meets his favorite mail carrier',
  'Every boss without taking damage',
  'A bridge that folds itself',
];
const FAILURES = [
  'HTTP 403: the platform refused the download',
  'ffmpeg exited with code 1: moov atom not found',
  'quota exceeded; retry after midnight',
];
const TYPES = ['scrape', 'download', 'transform', 'music_replace', 'publish'];

// Creates the database and returns its URL, with the keys of rows that have pages of their own.
export function demo() {
  const rows = new Rows();
  viraldb(['init', '--sample', '--quiet'], { url: rows.url });
  const keys = {};

  const preset = rows.insert('transformation_presets', {
    id: randomUUID(),
    name: 'Vertical 1080p',
    description: 'Crop to 9:16, add captions',
    parameters: '{"crop":"9:16","captions":true}',
    is_default: 1,
  });
  const music = rows.insert('music', {
    id: randomUUID(),
    name: 'Night drive',
    artist: 'Lowlight',
    duration: 164,
    usage_count: 31,
  });
  const channels = [
    ['Pixel Replays', 'gaming', 184_000],
    ['Tiny Kitchen Wins', 'food', 52_300],
    ['Goal of the Day', 'sports', 9_700],
  ].map(([name, niche, subscribers], at) => {
    const id = rows.insert('channels', {
      id: randomUUID(),
      name,
      youtube_channel_id: `UCdemo${at}`,
      youtube_channel_url: `https://www.youtube.com/channel/UCdemo${at}`,
      is_active: 1,
      api_credentials_encrypted: '',
      posting_schedule: '{"times":["09:00","18:00"]}',
      content_filters: `{"niche":"${niche}"}`,
      metadata_template: '{"title":"{title} #shorts"}',
      effect_preset_id: preset,
      created_at: now(-200 * DAY),
      last_publication_at: now(-3 * HOUR),
    });
    for (let day = 30; day >= 0; day -= 1) {
      const grown = subscribers * (1 - day * (0.004 + at * 0.002));
      rows.insert('channel_statistics', {
        id: randomUUID(),
        channel_id: id,
        subscriber_count: Math.round(grown),
        view_count: Math.round(grown * 140 + between(0, 4000)),
        video_count: 400 - day,
        total_views: Math.round(grown * 90),
        total_videos: 300 - day,
        timestamp: now(-day * DAY - 60),
        created_at: now(-day * DAY),
      });
    }
    return id;
  });
  [keys.channel] = channels;

  const videos = [];
  for (let at = 0; at < 90; at += 1) {
    const published = at < 60;
    const failed = !published && at % 11 === 0;
    const scraped = published ? -(60 - at) * 11 * HOUR - DAY : -between(1, 20) * HOUR;
    const id = rows.insert('videos', {
      id: randomUUID(),
      channel_id: channels[at % 3],
      source_url: `https://www.tiktok.com/@creator${at % 7}/video/${7300000000000 + at}`,
      source_title: TITLES[at % TITLES.length],
      source_creator: `creator${at % 7}`,
      source_platform: one('tiktok', 'tiktok', 'reddit'),
      scraped_at: now(scraped),
      download_status: failed ? 'failed' : published || at % 2 ? 'downloaded' : 'pending',
      download_duration: between(14, 58),
      download_resolution: '1080p',
      transformation_status: published ? 'transformed' : at % 4 === 1 && !failed ? 'processing' : 'pending',
      transformation_preset_id: preset,
      publication_status: published ? 'published' : 'pending',
      published_at: published ? now(scraped + 6 * HOUR) : null,
      youtube_video_id: published ? `yt${at}` : null,
      final_title: published ? `${TITLES[at % TITLES.length]} #shorts` : null,
      music_replaced: at % 3 ? 0 : 1,
      music_track_id: at % 3 ? null : music,
      created_at: now(scraped),
    });
    videos.push(id);
    if (!published) continue;
    const views = between(4_000, 900_000) / (1 + (at % 5));
    const age = -scraped - 6 * HOUR;
    for (let step = 1; step <= 12; step += 1) {
      const count = Math.round(views * (1 - Math.exp(-step / 3)));
      rows.insert('video_statistics', {
        id: randomUUID(),
        video_id: id,
        view_count: count,
        like_count: Math.round(count * 0.06),
        comment_count: Math.round(count * 0.004),
        timestamp: now(-age + (age * step) / 12 - 60),
        created_at: now(-age + (age * step) / 12),
      });
    }
  }
  keys.video = videos[55];

  for (let at = 0; at < 420; at += 1) {
    const age = between(20 * 60, 24 * HOUR);
    const waited = between(2, 40) + (age > 9 * HOUR && age < 12 * HOUR ? between(60, 300) : 0);
    const failed = at % 23 === 0;
    const took = between(8, 400);
    const id = rows.insert('video_processing_jobs', {
      id: randomUUID(),
      video_id: videos[at % 90],
      channel_id: channels[at % 3],
      job_type: TYPES[at % 5],
      status: failed ? 'failed' : 'completed',
      attempts: failed ? 3 : one(1, 1, 1, 2),
      error_message: failed ? one(...FAILURES) : null,
      queued_at: now(-age - waited),
      run_at: now(-age - waited),
      started_at: now(-age),
      completed_at: now(Math.min(-30, -age + took)),
      duration: took,
      payload: `{"quality":"1080p","take":${at}}`,
      created_at: now(-age - waited),
    });
    if (!failed) continue;
    keys.job = id;
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      rows.insert('viraldb_job_attempts', {
        id: randomUUID(),
        job_id: id,
        attempt,
        outcome: 'failed',
        worker: `worker-${attempt}`,
        error: one(...FAILURES),
        started_at: now(-age - (3 - attempt) * 600),
        ended_at: now(-age - (3 - attempt) * 600 + took),
      });
    }
  }
  for (let at = 0; at < 34; at += 1) {
    const running = at < 4;
    rows.insert('video_processing_jobs', {
      id: randomUUID(),
      video_id: videos[60 + (at % 30)],
      channel_id: channels[at % 3],
      job_type: TYPES[at % 5],
      status: running ? 'processing' : at % 9 ? 'queued' : 'retrying',
      priority: at % 6 ? 0 : 5,
      attempts: running ? 1 : 0,
      queued_at: now(-at * 25),
      run_at: now(at % 9 ? -at * 25 : 900),
      created_at: now(-at * 25),
      ...(running && {
        started_at: now(-90 * at - 20),
        lease_token: randomUUID(),
        leased_by: `worker-${at + 1}`,
        lease_expires_at: now(240),
        progress: (at + 1) / 5,
        progress_note: 'encoding',
      }),
    });
  }

  const discovered = rows.db
    .prepare('SELECT id FROM discovered_videos LIMIT 40')
    .all()
    .map((row) => row.id);
  const niches = ['gaming', 'music', 'sports'];
  const STATUSES = ['uploaded', 'uploaded', 'uploaded', 'uploaded', 'failed', 'uploaded'];
  for (let at = 0; at < 24; at += 1) {
    const begun = 20 * 60 - (23 - at) * 7 * HOUR - 40 * 60;
    const status = at === 23 ? 'running' : at >= 21 ? 'review' : STATUSES[at % 6];
    const ended = ['uploaded', 'failed'].includes(status);
    const run = rows.insert('pipeline_runs', {
      niche: niches[at % 3],
      cycle_start: now(begun - DAY),
      cycle_end: now(begun),
      status,
      started_at: now(begun),
      completed_at: ended ? now(begun + between(1, 5) * HOUR) : null,
      video_duration_seconds: 612,
      video_file_size_bytes: 412_000_000,
      youtube_video_id: status === 'uploaded' ? `run${at}` : null,
      error_message: status === 'failed' ? 'upload failed: quota exceeded' : null,
      retry_count: status === 'failed' ? 2 : 0,
    });
    if (status === 'review') keys.run = run;
    for (let rank = 1; rank <= 6; rank += 1) {
      const clip = rows.insert('clips', {
        pipeline_run_id: run,
        discovered_video_id: discovered[(at * 5 + rank) % 40],
        rank_position: rank,
        start_time_seconds: rank * 11,
        end_time_seconds: rank * 11 + 24,
        clip_duration_seconds: 24,
        extraction_method: one('most_replayed', 'transcript', 'audio_energy'),
        clip_file_path: `clips/${run}/${rank}.mp4`,
        content_id_risk: one('low', 'low', 'medium'),
      });
      if (rank === 1)
        rows.insert('shorts', {
          pipeline_run_id: run,
          clip_id: clip,
          title: one(...TITLES),
          duration_seconds: 24,
          status: status === 'uploaded' ? 'uploaded' : 'pending',
        });
    }
    rows.insert('scripts', {
      pipeline_run_id: run,
      opening_text: 'You will not believe number one.',
      full_script_json: '{"clips":6}',
      total_char_count: 2140,
      llm_model_used: 'small-model',
      generated_at: now(begun + 900),
    });
    rows.insert('tts_audio', {
      pipeline_run_id: run,
      engine_used: 'piper',
      voice_profile: 'en_US-amy',
      audio_file_path: `audio/${run}.wav`,
      duration_seconds: 598,
      generated_at: now(begun + 1200),
    });
    if (status !== 'running') {
      const open = status === 'review';
      rows.insert('review_log', {
        pipeline_run_id: run,
        sent_at: now(begun + 1800),
        responded_at: open ? null : now(begun + between(1900, 9000)),
        action: open ? null : status === 'failed' ? 'redo_script' : 'approve',
      });
    }
    if (status === 'failed')
      rows.insert('error_log', {
        pipeline_run_id: run,
        module: 'uploader',
        error_type: 'QuotaExceeded',
        error_message: 'upload failed: quota exceeded',
        occurred_at: now(begun + 2 * HOUR),
      });
  }
  for (let at = 0; at < 18; at += 1) {
    rows.insert('error_log', {
      module: one('scraper', 'uploader', 'tts', 'renderer'),
      error_type: one('TimeoutError', 'ConnectionError', 'RenderError'),
      error_message: one(...FAILURES),
      occurred_at: now(-between(1, 29 * 24) * HOUR),
      resolved: at % 3 ? 1 : 0,
    });
  }

  for (let at = 0; at < 60; at += 1) {
    const views = between(20_000, 9_000_000);
    rows.insert('trends', {
      platform: one('tiktok', 'tiktok', 'youtube'),
      external_id: `trend${at}`,
      title: TITLES[at % 10],
      creator: `creator${at % 7}`,
      hashtags: '["fyp","viral"]',
      views,
      likes: Math.round(views * 0.08),
      comments: Math.round(views * 0.003),
      shares: Math.round(views * 0.01),
      collected_at: now(-between(1, 700) * HOUR),
    });
  }
  const job = rows.insert('jobs', { status: 'completed', stage: 'done', theme: 'Satisfying factory machines' });
  for (let day = 0; day < 30; day += 1) {
    for (let at = 0; at < 3; at += 1) {
      rows.insert('job_videos', {
        job_id: job,
        status: one('approved', 'published', 'published', 'rejected'),
        duration_seconds: 22,
        cost_usd: between(8, 60) / 100,
        created_at: now(-day * DAY - at * HOUR),
      });
    }
    rows.insert('analytics', {
      youtube_video_id: 'run1',
      measured_at: now(-day * DAY),
      view_count: between(2_000, 30_000),
      like_count: between(90, 900),
      estimated_revenue_usd: between(100, 900) / 100,
    });
  }
  rows.close();
  viraldb(['backup', 'create', '--quiet'], { url: rows.url });
  return { url: rows.url, keys };
}
