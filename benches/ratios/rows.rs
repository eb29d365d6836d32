//! Realistic rows for the benchmarks. Row `n` is the same in every run.

use viraldb::compilation::NewDiscoveredVideo;
use viraldb::types::Timestamp;

pub const NICHES: [&str; 8] =
    ["gaming", "music", "sports", "comedy", "cooking", "education", "technology", "animals"];
const SOURCES: [&str; 4] = ["youtube_trending", "youtube_api", "yt_dlp", "reddit"];
const WORDS: [&str; 32] = [
    "the",
    "best",
    "moment",
    "ever",
    "caught",
    "on",
    "camera",
    "I",
    "asked",
    "her",
    "and",
    "you",
    "will",
    "not",
    "believe",
    "what",
    "happened",
    "next",
    "cat",
    "goal",
    "world",
    "record",
    "live",
    "behind",
    "scenes",
    "new",
    "minutes",
    "challenge",
    "gone",
    "wrong",
    "reaction",
    "compilation",
];
const ID: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// 2026-01-01 in microseconds of Unix time.
const START: i64 = 1_767_225_600_000_000;

/// xorshift64*, by Marsaglia and Vigna.
pub struct Random(u64);

impl Random {
    /// Creates a generator for a seed. Adjacent seeds yield unrelated numbers.
    pub fn new(seed: u64) -> Self {
        Self(scatter(seed).max(1))
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn pick(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len() as u64) as usize]
    }
}

/// Mixes a number with the finalizer of splitmix64. It is a bijection, so no two rows get the same id.
fn scatter(number: u64) -> u64 {
    let mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn letters(mut bits: u128, count: usize) -> String {
    let mut text = String::with_capacity(count);
    for _ in 0..count {
        text.push(char::from(ID[(bits & 63) as usize]));
        bits >>= 6;
    }
    text
}

/// Returns the platform's id of row `n`: 11 characters, like YouTube's ids.
pub fn video_id(n: u64) -> String {
    letters(scatter(n).into(), 11)
}

/// Returns row `n`.
pub fn row(n: u64) -> NewDiscoveredVideo<'static> {
    let mut random = Random::new(n ^ 0x5eed);
    let video_id = video_id(n);
    let mut title = String::with_capacity(64);
    while title.len() < 45 {
        title.push_str(random.pick(&WORDS));
        title.push(' ');
    }
    title.pop();
    let channel = random.below(20_000);
    // Most videos have few views and a few have very many.
    let views = (10_f64.powf(2.0 + 6.0 * random.unit())) as i64;
    NewDiscoveredVideo {
        url: format!("https://www.youtube.com/watch?v={video_id}").into(),
        video_id: video_id.into(),
        title: title.into(),
        channel_name: format!("{} {} {channel}", random.pick(&WORDS), random.pick(&WORDS)).into(),
        channel_id: format!(
            "UC{}",
            letters(u128::from(scatter(channel)) << 64 | u128::from(scatter(!channel)), 22)
        )
        .into(),
        category_id: Some(1 + random.below(29) as i32),
        duration_seconds: Some(8 + random.below(3_600) as i32),
        view_count: Some(views),
        like_count: Some(views / 25 + random.below(50) as i64),
        comment_count: Some(views / 400 + random.below(20) as i64),
        view_velocity: Some(views as f64 / (1.0 + 72.0 * random.unit())),
        viral_score: Some(100.0 * random.unit()),
        niche: random.pick(&NICHES).into(),
        discovery_source: Some(random.pick(&SOURCES).into()),
        discovered_at: Some(moment(n, &mut random)),
        ..Default::default()
    }
}

/// Returns the timestamp of row `n`: about one row every 2.5 seconds, a million in a month, and never two at the same time.
fn moment(n: u64, random: &mut Random) -> Timestamp {
    let micros = START + n as i64 * 2_500_000 + random.below(2_500_000) as i64;
    chrono::DateTime::from_timestamp_micros(micros).unwrap().into()
}

/// Returns the first `count` rows.
pub fn rows(count: u64) -> Vec<NewDiscoveredVideo<'static>> {
    (0..count).map(row).collect()
}

/// Adds `more` views, likes and comments to each video, as if it was seen again.
pub fn grow(rows: &mut [NewDiscoveredVideo<'_>], more: i64) {
    for row in rows {
        for count in [&mut row.view_count, &mut row.like_count, &mut row.comment_count].into_iter().flatten()
        {
            *count += more;
        }
    }
}
