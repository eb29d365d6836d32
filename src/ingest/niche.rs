//! The default niche of a video, based on its category.

use std::borrow::Cow;

/// Returns the given niche, or the niche of a category.
pub(super) fn of(given: Option<&str>, category: Option<i32>) -> Cow<'static, str> {
    match given {
        Some(given) => given.to_owned().into(),
        None => category.map_or("other", of_category).into(),
    }
}

/// Returns the niche of a YouTube category number, as in `videoCategories.list` of the YouTube Data API.
const fn of_category(category: i32) -> &'static str {
    match category {
        1 | 18 | 30..=33 | 35..=42 | 44 => "film",
        2 => "autos",
        10 => "music",
        15 => "pets",
        17 => "sports",
        19 => "travel",
        20 => "gaming",
        21 | 22 => "people",
        23 | 34 => "funny",
        24 | 43 => "entertainment",
        25 => "news",
        26 => "howto",
        27 => "education",
        28 => "technology",
        29 => "activism",
        _ => "other",
    }
}

/// Returns the YouTube category number for a category name from yt-dlp.
pub(super) fn category_of_name(name: &str) -> Option<i32> {
    Some(match name {
        "Film & Animation" => 1,
        "Autos & Vehicles" => 2,
        "Music" => 10,
        "Pets & Animals" => 15,
        "Sports" => 17,
        "Travel & Events" => 19,
        "Gaming" => 20,
        "People & Blogs" => 22,
        "Comedy" => 23,
        "Entertainment" => 24,
        "News & Politics" => 25,
        "Howto & Style" => 26,
        "Education" => 27,
        "Science & Technology" => 28,
        "Nonprofits & Activism" => 29,
        _ => return None,
    })
}
