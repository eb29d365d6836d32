//! Who has logged in, and how often somebody may try.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64ct::{Base64UrlUnpadded, Encoding};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// A visitor who did nothing for this long has to log in again.
const IDLE: Duration = Duration::from_secs(12 * 3600);
/// A visitor has to log in again after this time in any case.
pub(super) const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// Maximum number of visitors who are logged in.
const MOST: usize = 10_000;
/// Number of times per minute that one address may try to log in.
const TRIES: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// Number of times per minute that all addresses together may try to log in.
const ALL_TRIES: NonZeroU32 = NonZeroU32::new(120).unwrap();
/// Number of addresses that are remembered.
const ADDRESSES: usize = 50_000;

/// The visitors who have logged in.
pub(super) struct Sessions {
    /// By the hash of the cookie. Someone who reads the memory cannot use a hash.
    visitors: Mutex<HashMap<[u8; 32], Session>>,
    tries: DefaultKeyedRateLimiter<IpAddr>,
    all_tries: DefaultDirectRateLimiter,
    /// The results of actions, which the next page of the visitor shows once.
    notices: Mutex<HashMap<[u8; 32], (String, Instant)>>,
}

struct Session {
    user: String,
    began: Instant,
    last: Instant,
}

impl Session {
    fn is_valid(&self, now: Instant) -> bool {
        now - self.last < IDLE && now - self.began < LONGEST
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sessions {
    pub fn new() -> Self {
        Self {
            visitors: Mutex::default(),
            tries: RateLimiter::keyed(Quota::per_minute(TRIES)),
            all_tries: RateLimiter::direct(Quota::per_minute(ALL_TRIES)),
            notices: Mutex::default(),
        }
    }

    /// Returns true if the address may try to log in now, and counts the try.
    pub fn may_try(&self, address: IpAddr) -> bool {
        if self.tries.len() > ADDRESSES {
            self.tries.retain_recent();
        }
        // Many addresses of one IPv6 network belong to one visitor.
        let address = match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            address => address,
        };
        self.tries.check_key(&address).is_ok() && self.all_tries.check().is_ok()
    }

    /// Logs a user in and returns the value of the cookie.
    ///
    /// # Errors
    /// [`Other`](crate::Error::Other) if the operating system has no random numbers, `Invalid` if too many visitors are logged in.
    pub fn start(&self, user: &str) -> Result<String> {
        let cookie = random()?;
        let mut visitors = lock(&self.visitors);
        let now = Instant::now();
        if visitors.len() >= MOST {
            visitors.retain(|_, session| session.is_valid(now));
        }
        if visitors.len() >= MOST {
            return Err(Error::invalid("the log-in", format!("failed: {MOST} visitors are logged in")));
        }
        visitors.insert(hash(&cookie), Session { user: user.to_owned(), began: now, last: now });
        Ok(cookie)
    }

    /// Returns the name of the user whose cookie this is. Only a page that somebody asks for keeps the session alive, not the
    /// updates of a forgotten tab.
    pub fn user(&self, cookie: &str, is_update: bool) -> Option<String> {
        let mut visitors = lock(&self.visitors);
        let now = Instant::now();
        let session = visitors.get_mut(&hash(cookie)).filter(|session| session.is_valid(now))?;
        if !is_update {
            session.last = now;
        }
        Some(session.user.clone())
    }

    /// Logs a user out.
    pub fn end(&self, cookie: &str) {
        lock(&self.visitors).remove(&hash(cookie));
    }

    /// Keeps the result of an action for the next page of the visitor.
    pub fn notify(&self, visitor: &str, text: String) {
        let mut notices = lock(&self.notices);
        let now = Instant::now();
        notices.retain(|_, (_, at)| now - *at < Duration::from_secs(60));
        if notices.len() < MOST {
            notices.insert(hash(visitor), (text, now));
        }
    }

    /// Takes the result of the visitor's last action.
    pub fn notice(&self, visitor: &str) -> Option<String> {
        lock(&self.notices).remove(&hash(visitor)).map(|(text, _)| text)
    }
}

/// Returns 32 random bytes as text.
pub(super) fn random() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(Error::other)?;
    Ok(Base64UrlUnpadded::encode_string(&bytes))
}

fn hash(cookie: &str) -> [u8; 32] {
    Sha256::digest(cookie.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_try_ten_times_a_minute() {
        let sessions = Sessions::new();
        let tries = |address: &str| {
            let address = address.parse().unwrap();
            (0..20).filter(|_| sessions.may_try(address)).count()
        };
        assert_eq!((tries("192.0.2.1"), tries("192.0.2.2")), (10, 10));
        // All addresses of an IPv6 network count as one.
        assert_eq!((tries("2001:db8::1"), tries("2001:db8::2")), (10, 0));
    }

    #[test]
    fn many_addresses_share_a_limit() {
        let sessions = Sessions::new();
        let tries = (0..255).filter(|last| sessions.may_try(IpAddr::from([192, 0, 2, *last]))).count();
        assert_eq!(tries, 120);
    }

    #[test]
    fn a_session_ends_when_the_user_logs_out() {
        let sessions = Sessions::new();
        let cookie = sessions.start("ana").unwrap();
        assert_eq!(sessions.user(&cookie, false).as_deref(), Some("ana"));
        assert_eq!(sessions.user("x", false), None);
        sessions.end(&cookie);
        assert_eq!(sessions.user(&cookie, false), None);
    }
}
