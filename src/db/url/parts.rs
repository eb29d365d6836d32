//! Splits the URL of a server into parts, as libpq does, and finds the secrets among them.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The parts of a URL after its `://`. Splitting never fails; [`Parts::check`] tells whether the parts are plausible.
pub(super) struct Parts<'a> {
    user: Option<&'a str>,
    password: Option<&'a str>,
    /// One or more `host:port`, separated by commas.
    hosts: &'a str,
    /// The name of the database with its slash; empty if there is none.
    name: &'a str,
    pub(super) query: Option<&'a str>,
}

const ENCODE_USER: &str = "percent-encode the user name and the password: %40 is @, %2F is /, %25 is %";
const BAD_SPACE: &str =
    "contains a space or a control character; write postgres://USER@HOST/NAME, and %20 for a space";
const BAD_HOST: &str = "the host or the port is invalid; write postgres://USER:PASSWORD@HOST:PORT/NAME, and an IPv6 address in brackets";
const BAD_NAME: &str =
    "percent-encode the name of the database; parameters follow a question mark, as in NAME?sslmode=require";
const BAD_USER: &str = "write postgres://USER:PASSWORD@HOST/NAME; percent-encode special characters in the user name and the password: %40 is @, %2F is /, %3A is :";
const BAD_QUERY: &str =
    "write parameters as KEY=VALUE, separated by &; percent-encode the values: %3D is =, %26 is &";

/// The parameters whose values may be shown.
const PUBLIC: [&str; 17] = [
    "application_name",
    "client_encoding",
    "connect_timeout",
    "dbname",
    "gssencmode",
    "host",
    "hostaddr",
    "options",
    "pgbouncer",
    "port",
    "schema",
    "sslcert",
    "sslmode",
    "sslrootcert",
    "ssl",
    "target_session_attrs",
    "user",
];

/// The minimum length in bytes of the value of an unknown parameter that is treated as a secret. The numbers and words that
/// libpq accepts are mostly shorter, and they occur in its messages.
const LEAST_HIDDEN: usize = 6;

impl<'a> Parts<'a> {
    pub(super) fn split(rest: &'a str) -> Self {
        // As in libpq, the user name ends at the first @, unless a slash comes before it.
        let (user, place) = match rest.split('/').next().and_then(|authority| authority.split_once('@')) {
            Some((user, _)) => (Some(user), &rest[user.len() + 1..]),
            None => (None, rest),
        };
        let (user, password) = match user.and_then(|user| user.split_once(':')) {
            Some((user, password)) => (Some(user), Some(password)),
            None => (user, None),
        };
        let (place, query) = match place.split_once('?') {
            Some((place, query)) => (place, Some(query)),
            None => (place, None),
        };
        let (hosts, name) = place.split_at(place.find('/').unwrap_or(place.len()));
        Self { user, password, hosts, name, query }
    }

    /// Rejects a URL whose parts libpq would reject or misinterpret. The messages of libpq would then show a part of the
    /// password as a host, a port or a parameter.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let all = [self.user, self.password, Some(self.hosts), Some(self.name), self.query];
        if all.into_iter().flatten().any(|part| part.contains(|c: char| c.is_whitespace() || c.is_control()))
        {
            return Err(BAD_SPACE);
        }
        let is_encoded = all.into_iter().flatten().all(has_only_codes);
        if !is_encoded || self.hosts.contains('@') || self.name.contains('@') {
            return Err(ENCODE_USER);
        }
        // libpq interprets a query with an @ in a value as a user name and a password.
        let is_query = self.user.is_some_and(|user| user.contains(['?', '=', '&', ';', '#', '[']))
            || self.password.is_some_and(has_password);
        if is_query {
            return Err(ENCODE_USER);
        }
        // The password may follow a character other than the colon.
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '~' | '$' | '+' | '%');
        let is_twice_encoded = |user: &str| decoded(user).contains('%');
        if self.user.is_some_and(|user| !user.chars().all(is_name) || is_twice_encoded(user)) {
            return Err(BAD_USER);
        }
        if !self.hosts.split(',').all(is_host) {
            let may_be_password = self.query.is_some_and(|query| query.contains('@'));
            return Err(if may_be_password { ENCODE_USER } else { BAD_HOST });
        }
        let name = self.name.strip_prefix('/').unwrap_or_default();
        if name.contains(['/', ':', '&', '=', ';', '#']) {
            return Err(BAD_NAME);
        }
        for pair in self.pairs() {
            // The pair may be the rest of a password that contains a question mark.
            let without_value = if pair.contains('@') { ENCODE_USER } else { BAD_QUERY };
            let Some((key, value)) = pair.split_once('=') else { return Err(without_value) };
            if key == "user" && decoded(value).contains(':') {
                return Err(BAD_USER);
            }
            let numbers = |value: &str| value.split(',').all(is_port);
            let is_word = |key: &str| {
                !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '%'))
            };
            if !is_word(key) || value.contains(['=', ';', '#']) || (key == "port" && !numbers(value)) {
                return Err(BAD_QUERY);
            }
        }
        let pairs = self.pairs().filter_map(|pair| pair.split_once('='));
        let values = pairs.filter(|(key, _)| !is_secret(key)).map(|(_, value)| value);
        let is_encoded_url = |value: &str| value.split_once(':').is_some_and(|(_, rest)| rest.contains('@'));
        let mut public = [Some(self.hosts), self.user, Some(self.name)].into_iter().flatten().chain(values);
        match public.any(|value| has_password(&decoded(value)) || is_encoded_url(&decoded(value))) {
            true => Err(BAD_QUERY),
            false => Ok(()),
        }
    }

    fn pairs(&self) -> impl Iterator<Item = &'a str> {
        let query = self.query.unwrap_or_default();
        let query = query.strip_suffix('&').unwrap_or(query);
        query.split('&').filter(move |_| !query.is_empty())
    }

    /// Returns the decoded keys of the parameters, up to the first password, because the text after it may be a part of it.
    /// Returns none for a query with an @ or a slash, which may be a password before a host.
    #[cfg(feature = "postgres")]
    pub(super) fn keys(&self) -> impl Iterator<Item = String> {
        let is_clear = !self.query.unwrap_or_default().contains(['@', '/']);
        let keys = self
            .pairs()
            .filter(move |_| is_clear)
            .filter_map(|pair| Some(decoded(pair.split_once('=')?.0).into_owned()));
        keys.take_while(|key| !is_secret(key))
    }

    /// Returns the URL after its `://`, with `***` for its secrets and for unknown parameters.
    pub(super) fn shown(&self) -> String {
        let mut shown = String::new();
        if let Some(user) = self.user {
            let (user, more) = user.split_at(coded_colon(user).unwrap_or(user.len()));
            let password = if more.is_empty() && self.password.is_none() { "" } else { ":***" };
            shown = format!("{user}{password}@");
        }
        shown.push_str(self.hosts);
        shown.push_str(self.name);
        let shown_pair = |pair: &str| match pair.split_once('=') {
            Some((key, value)) if PUBLIC.contains(&key) => format!("{key}={value}"),
            Some((key, _)) if is_secret(key) => format!("{}=***", decoded(key)),
            _ => "***".to_owned(),
        };
        if self.query.is_some() {
            shown.push('?');
            shown.push_str(&self.pairs().map(shown_pair).collect::<Vec<_>>().join("&"));
        }
        shown
    }

    /// Returns all texts that must not be printed, both as written and decoded, the longest first.
    pub(super) fn secrets(&self) -> Vec<String> {
        let coded = self.user.and_then(|user| user.get(coded_colon(user)? + 3..));
        let pairs = self.pairs().filter_map(|pair| pair.split_once('='));
        // A long value of an unknown parameter may be a password in the wrong parameter, so it is a secret, too.
        let is_hidden = |key: &str, value: &str| {
            is_secret(key) || (!PUBLIC.contains(&key) && value.len() >= LEAST_HIDDEN)
        };
        let of_query = pairs.filter(|(key, value)| is_hidden(key, value)).map(|(_, value)| value);
        let written = self.password.into_iter().chain(coded).chain(of_query);
        let both = written.flat_map(|secret| [secret.to_owned(), decoded(secret).into_owned()]);
        // If a password equals the user, the hosts or the database name, do not mask these: they do not reveal the password.
        let public = [self.user.unwrap_or_default(), self.hosts, self.name.trim_start_matches('/')];
        let mut secrets: Vec<String> =
            both.filter(|secret| !secret.is_empty() && !public.contains(&secret.as_str())).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
    }
}

/// Returns true if every `%` starts a valid percent-encoding, and none of them is NUL.
fn has_only_codes(text: &str) -> bool {
    let is_code = |code: &str| {
        code.get(..2).is_some_and(|code| code != "00" && code.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    text.split('%').skip(1).all(is_code)
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(text) => match text.split_once(']') {
            Some((host, "")) => (host, ""),
            Some((host, port)) if port.starts_with(':') => (host, &port[1..]),
            _ => return false,
        },
        None => text.split_once(':').unwrap_or((text, "")),
    };
    is_port(port) && !host.contains(['[', ']', '=', '&', ';', '#'])
}

/// Returns true for a valid port. An empty port means the default.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Returns true for the parameters `password` and `sslpassword`, and for misspellings of them.
fn is_secret(key: &str) -> bool {
    let key = decoded(key).to_lowercase();
    key.contains("pass") || key.contains("pwd") || key.contains("secret")
}

/// Returns true if a value seems to contain another parameter with a password.
pub(super) fn has_password(value: &str) -> bool {
    let value = value.to_lowercase();
    value.match_indices("pass").any(|(at, _)| {
        let behind = value[at..].trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
        behind.trim_start().starts_with(['=', ':'])
    })
}

fn coded_colon(user: &str) -> Option<usize> {
    user.find("%3A").or_else(|| user.find("%3a"))
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}
