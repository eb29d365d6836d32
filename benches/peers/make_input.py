#!/usr/bin/env python3
"""Writes a benchmark input of any size: python make_input.py FORMAT ROWS OUT [--seed N] [--later DAYS]

The same arguments always give the same bytes. OUT may be "-" for standard output. Memory does not grow with ROWS.

    trending         CSV of the YouTube Trending Video Dataset, for `viraldb ingest`
    api              JSON Lines, one item of YouTube's videos.list on each line
    ytdlp            JSON Lines, one info object of yt-dlp on each line
    jsonl-videos     JSON Lines for `viraldb ingest --as jsonl --table discovered_videos`
    jsonl-analytics  JSON Lines for `viraldb ingest --as jsonl --table analytics`
    jsonl-jobs       JSON Lines for `viraldb ingest --as jsonl --table jobs`

Every row is a different video. With the same seed, all formats contain the same videos in the same order. --later writes
the same videos as they appear DAYS days later, with higher counts.
"""

import argparse
import json
import random
import sys
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta

FIRST_DAY = datetime(2020, 8, 12)
ROWS_PER_WRITE = 2_000
AGES = 200  # number of different ages of videos on one day
MASK = 2**64 - 1

CATEGORIES = {
    "1": "Film & Animation", "2": "Autos & Vehicles", "10": "Music", "15": "Pets & Animals", "17": "Sports",
    "19": "Travel & Events", "20": "Gaming", "22": "People & Blogs", "23": "Comedy", "24": "Entertainment",
    "25": "News & Politics", "26": "Howto & Style", "27": "Education", "28": "Science & Technology",
}  # fmt: skip
# How often each category is on the trending list.
CATEGORY_WEIGHTS = [4, 2, 20, 1, 12, 1, 6, 11, 8, 18, 7, 6, 3, 2]

WORDS = """
apex legends official announcement freshman class trailer season month happened ultimate home theater family music
video live session behind scenes challenge prank vlog reaction review highlights final round boss fight speedrun guide
cooking street food recipe kitchen tour travel island winter summer festival episode finale explained science rocket
engine build workshop garage restoration drawing animation short film interview podcast comedy sketch parody lyric
acoustic cover remix album single league football basketball playoffs penalty goal knockout phone laptop camera unboxing
budget versus everything nothing never always finally truth story secret million subscribers dollars
""".split()
OTHER_WORDS = "лучшие моменты сезона 東京の朝 신곡 무대 café niño corazón Ölpreis größte señorita ελληνικά اغنية".split()
SYMBOLS = ["🔥", "😱", "❤️", "🎬", "▶", "►", "✨", "🏆", "–", "…"]
SITES = ["https://twitter.com/", "https://www.instagram.com/", "https://www.facebook.com/", "http://bit.ly/"]


class Pools:
    """Titles, tags, descriptions and channels that are combined into rows."""

    def __init__(self, rng):
        self.rng = rng
        self.titles = [self.title() for _ in range(8_000)]
        self.tags = [self.tag_list() for _ in range(3_000)]
        self.openings = [self.opening() for _ in range(3_000)]
        self.endings = [self.ending() for _ in range(3_000)]
        self.channels = [(self.channel_id(), self.name()) for _ in range(4_000)]
        self.categories = rng.choices(list(CATEGORIES), CATEGORY_WEIGHTS, k=1_000)

    def words(self, least, most):
        words = self.rng.choices(WORDS, k=self.rng.randint(least, most))
        if self.rng.random() < 0.15:
            words[self.rng.randrange(len(words))] = self.rng.choice(OTHER_WORDS)
        return words

    def title(self):
        text = " ".join(self.words(4, 9))
        text = self.rng.choice([text.title, text.upper, text.capitalize])()
        chance = self.rng.random()
        if chance < 0.10:
            text += " " + self.rng.choice(SYMBOLS)
        elif chance < 0.15:
            text = f'"{text}"'
        elif chance < 0.30:
            text += self.rng.choice([" | Official Video", " (Official Trailer)", " - It’s Here!", ", Explained"])
        return text

    def tag_list(self):
        return [" ".join(self.words(1, 3)) for _ in range(self.rng.randint(0, 16))]

    def opening(self):
        sentences = [" ".join(self.words(5, 14)).capitalize() for _ in range(self.rng.randint(0, 4))]
        if sentences and self.rng.random() < 0.25:
            sentences[-1] = f'They said "{sentences[-1]}" and we’re not sure'
        text = ". ".join(sentences)
        return text + self.rng.choice([".", "!", " ▶ ", " 🔥"]) if text else text

    def ending(self):
        # Most line breaks are line feeds, but a few descriptions were pasted from Windows.
        line = "\r\n" if self.rng.random() < 0.02 else "\n"
        lines = [line] if self.rng.random() < 0.4 else [" "]
        for _ in range(self.rng.randint(0, 3)):
            lines.append(f"{self.rng.choice(SYMBOLS)} {self.rng.choice(SITES)}{''.join(self.words(1, 2))}{line}")
        lines.append(" ".join("#" + word for word in self.words(1, 4)))
        return "".join(lines)

    def name(self):
        return " ".join(self.words(1, 2)).title() + self.rng.choice(["", "", " TV", " Official", "VEVO", " & Friends"])

    def channel_id(self):
        return "UC" + urlsafe_b64encode(self.rng.randbytes(16)).decode()[:22]


def video_ids(seed):
    """Yields ids of 11 characters, like YouTube's. They look random, but no id repeats for the same seed.

    This is the SplitMix64 generator. It maps each count to a different 64-bit number, which is encoded in 11 characters.
    """
    state = random.Random(seed).getrandbits(64)
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        yield urlsafe_b64encode((z ^ (z >> 31)).to_bytes(8, "big"))[:11].decode()


def views_from(rng, later):
    """Returns a function that generates view counts. Most are modest and a few are huge. They grow with `later` days."""
    # The pool avoids an expensive exponential for each row. The low digits still differ from row to row.
    pool = [int(rng.lognormvariate(13.3, 1.3)) + 1_000 for _ in range(10_000)]
    uniform = rng.random
    growth = 1 + later / 10

    def views():
        chance = uniform()
        return int((pool[int(chance * 10_000)] + int(chance * 1e9) % 9_973) * growth) + later

    return views


def days(rows, later):
    """Yields the day of each row, in ascending order. There are at most 1,000 days with at least 200 rows each."""
    per_day = max(200, -(-rows // 1_000))
    for n in range(rows):
        if n % per_day == 0:
            day = FIRST_DAY + timedelta(days=n // per_day + later)
        yield day


def csv_text(text):
    return text.replace('"', '""')


def json_text(text):
    """Returns the text as a JSON string without the surrounding quotes."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def ages(rng):
    """Returns the ages of videos on a trending list: the seconds from publication to the day, at most four days."""
    return [rng.randrange(3_600, 4 * 86_400) for _ in range(AGES)]


class Published:
    """Returns publication times for a day. The texts for one day are created once and used for all of its rows."""

    def __init__(self, rng, later):
        self.ages = ages(rng)
        self.later = timedelta(days=later)
        self.day = None

    def of(self, day):
        if day != self.day:
            self.day = day
            first = day - self.later  # the publication time of a video does not change
            self.texts = [f"{first - timedelta(seconds=age):%Y-%m-%dT%H:%M:%SZ}" for age in self.ages]
            self.day_text = f"{day:%Y-%m-%d}T00:00:00Z"
            self.seconds = int((first - datetime(1970, 1, 1)).total_seconds())
        return self.texts


def trending(rows, seed, later):
    rng = random.Random(seed)
    pools, views_of, published = Pools(rng), views_from(rng, later), Published(rng, later)
    uniform, ids = rng.random, video_ids(seed)
    titles = [csv_text(title) for title in pools.titles]
    tags = [csv_text("|".join(tags)) or "[None]" for tags in pools.tags]
    openings = [csv_text(text) for text in pools.openings]
    endings = [csv_text(text) for text in pools.endings]
    channels = [f'"{channel}","{csv_text(name)}"' for channel, name in pools.channels]
    categories = pools.categories
    n_titles, n_tags, n_openings, n_endings, n_channels, n_categories = map(
        len, (titles, tags, openings, endings, channels, categories)
    )
    yield (
        "video_id,title,publishedAt,channelId,channelTitle,categoryId,trending_date,tags,view_count,likes,dislikes,"
        "comment_count,thumbnail_link,comments_disabled,ratings_disabled,description\n"
    )
    for video, day in zip(ids, days(rows, later)):
        at = published.of(day)
        views = views_of()
        channel = uniform()
        # A channel always has the same category, like most real channels.
        category = categories[int(channel * n_categories)]
        no_comments = uniform() < 0.016
        comments = 0 if no_comments else views // 140
        yield (
            f'"{video}","{titles[int(uniform() * n_titles)]}","{at[int(uniform() * AGES)]}",'
            f'{channels[int(channel * n_channels)]},"{category}","{published.day_text}",'
            f'"{tags[int(uniform() * n_tags)]}","{views}","{views // 17}","{views // 900}","{comments}",'
            f'"https://i.ytimg.com/vi/{video}/default.jpg","{no_comments}","False","{openings[int(uniform() * n_openings)]}{endings[int(uniform() * n_endings)]}"\n'
        )


def api(rows, seed, later):
    rng = random.Random(seed)
    pools, views_of, published = Pools(rng), views_from(rng, later), Published(rng, later)
    uniform, ids = rng.random, video_ids(seed)
    titles = [json_text(title) for title in pools.titles]
    tags = [json.dumps(tags, ensure_ascii=False) for tags in pools.tags]
    openings = [json_text(text) for text in pools.openings]
    endings = [json_text(text) for text in pools.endings]
    channels = [(channel, json_text(name)) for channel, name in pools.channels]
    durations = [duration(rng.randint(15, 7_200)) for _ in range(1_000)]
    for video, day in zip(ids, days(rows, later)):
        at = published.of(day)
        views = views_of()
        chance = uniform()
        channel, name = channels[int(chance * len(channels))]
        category = pools.categories[int(chance * len(pools.categories))]
        yield (
            f'{{"kind": "youtube#video", "id": "{video}", "snippet": {{"publishedAt": "{at[int(uniform() * AGES)]}", '
            f'"channelId": "{channel}", "title": "{titles[int(uniform() * len(titles))]}", '
            f'"description": "{openings[int(uniform() * len(openings))]}{endings[int(uniform() * len(endings))]}", '
            f'"thumbnails": {{"default": {{"url": "https://i.ytimg.com/vi/{video}/default.jpg", "width": 120, '
            f'"height": 90}}}}, "channelTitle": "{name}", "tags": {tags[int(uniform() * len(tags))]}, '
            f'"categoryId": "{category}", "liveBroadcastContent": "none"}}, '
            f'"contentDetails": {{"duration": "{durations[int(uniform() * 1_000)]}", "dimension": "2d", '
            f'"definition": "hd", "caption": "false", "licensedContent": true, "contentRating": {{}}, '
            f'"projection": "rectangular"}}, "statistics": {{"viewCount": "{views}", "likeCount": "{views // 17}", '
            f'"favoriteCount": "0", "commentCount": "{views // 140}"}}}}\n'
        )


def duration(seconds):
    """Returns an ISO 8601 duration as YouTube writes it, such as PT1H2M3S."""
    parts = ((seconds // 3_600, "H"), (seconds // 60 % 60, "M"), (seconds % 60, "S"))
    return "PT" + "".join(f"{number}{unit}" for number, unit in parts if number)


def ytdlp(rows, seed, later):
    rng = random.Random(seed)
    pools, views_of, published = Pools(rng), views_from(rng, later), Published(rng, later)
    uniform, ids = rng.random, video_ids(seed)
    titles = [json_text(title) for title in pools.titles]
    tags = [json.dumps(tags[:4], ensure_ascii=False) for tags in pools.tags]
    channels = [(channel, json_text(name)) for channel, name in pools.channels]
    for video, day in zip(ids, days(rows, later)):
        texts = published.of(day)
        views = views_of()
        chance = uniform()
        channel, name = channels[int(chance * len(channels))]
        category = CATEGORIES[pools.categories[int(chance * len(pools.categories))]]
        place = int(uniform() * AGES)
        text = texts[place]
        yield (
            f'{{"id": "{video}", "title": "{titles[int(uniform() * len(titles))]}", "channel": "{name}", '
            f'"channel_id": "{channel}", "duration": {15 + int(uniform() * 7_000)}, "view_count": {views}, '
            f'"like_count": {views // 17}, "comment_count": {views // 140}, '
            f'"timestamp": {published.seconds - published.ages[place]}, '
            f'"upload_date": "{text[:4]}{text[5:7]}{text[8:10]}", '
            f'"categories": ["{category}"], "tags": {tags[int(uniform() * len(tags))]}, '
            f'"webpage_url": "https://www.youtube.com/watch?v={video}", "extractor": "youtube", '
            f'"extractor_key": "Youtube", "epoch": {published.seconds + later * 86_400}, "_type": "video"}}\n'
        )


def jsonl_videos(rows, seed, later):
    rng = random.Random(seed)
    pools, views_of = Pools(rng), views_from(rng, later)
    uniform, ids = rng.random, video_ids(seed)
    titles = [json_text(title) for title in pools.titles]
    channels = [(channel, json_text(name)) for channel, name in pools.channels]
    niches = ["gaming", "music", "sports", "funny", "entertainment", "people", "news", "howto"]
    for video, _ in zip(ids, range(rows)):
        chance = uniform()
        channel, name = channels[int(chance * len(channels))]
        yield (
            f'{{"video_id": "{video}", "title": "{titles[int(uniform() * len(titles))]}", "channel_name": "{name}", '
            f'"channel_id": "{channel}", "url": "https://www.youtube.com/watch?v={video}", '
            f'"niche": "{niches[int(chance * len(niches))]}", "view_count": {views_of()}}}\n'
        )


def jsonl_analytics(rows, seed, later):
    rng = random.Random(seed)
    views_of, published = views_from(rng, later), Published(rng, later)
    for video, day in zip(video_ids(seed), days(rows, later)):
        published.of(day)
        yield f'{{"youtube_video_id": "{video}", "measured_at": "{published.day_text}", "view_count": {views_of()}}}\n'


def jsonl_jobs(rows, seed, _later):
    rng = random.Random(seed)
    pools = Pools(rng)
    uniform, ids = rng.random, video_ids(seed)
    themes = [json_text(title) for title in pools.titles]
    tags = [json.dumps(tags[:4], ensure_ascii=False) for tags in pools.tags]
    for video, n in zip(ids, range(rows)):
        yield (
            f'{{"theme": "{themes[int(uniform() * len(themes))]}", "metadata": {{"source_video": "{video}", '
            f'"hashtags": {tags[int(uniform() * len(tags))]}, "batch": {n // 100}, '
            f'"score": {int(uniform() * 1_000) / 1_000}}}}}\n'
        )


FORMATS = {
    "trending": trending,
    "api": api,
    "ytdlp": ytdlp,
    "jsonl-videos": jsonl_videos,
    "jsonl-analytics": jsonl_analytics,
    "jsonl-jobs": jsonl_jobs,
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("format", choices=FORMATS)
    parser.add_argument("rows", type=int)
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=1, help="seed that selects the videos [default: 1]")
    parser.add_argument("--later", type=int, default=0, metavar="DAYS", help="write the same videos DAYS days later")
    args = parser.parse_args()

    out = sys.stdout.buffer if args.out == "-" else open(args.out, "wb")
    with out:
        lines = []
        for line in FORMATS[args.format](args.rows, args.seed, args.later):
            lines.append(line)
            if len(lines) == ROWS_PER_WRITE:
                out.write("".join(lines).encode())
                lines.clear()
        out.write("".join(lines).encode())


if __name__ == "__main__":
    main()
