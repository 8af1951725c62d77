//! Checks the names and passwords of requests against bcrypt hashes (`basic_auth_users`).

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv6Addr},
    path::Path,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bcrypt::HashParts;
use http::HeaderValue;
use indexmap::IndexSet;
use ring::{digest::SHA256_OUTPUT_LEN, hmac, rand::SystemRandom};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use super::document::{Error, Warnings, shown};

/// The maximum number of cached results of each kind. Failures do not displace successes.
const MAX_CACHED: usize = 100;
/// The maximum time for which a request waits for the other requests from its address. It is less than a scrape timeout.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// The costs that bcrypt permits.
const COSTS: std::ops::RangeInclusive<u32> = 4..=31;
/// Above this cost, a check takes longer than about a second.
const HIGH_COST: u32 = 14;

/// The users of a web configuration, by name, with their bcrypt hashes.
pub(super) type Users = BTreeMap<String, String>;

/// The users of the section `basic_auth_users`.
///
/// # Errors
/// A value is no bcrypt hash, or a name contains a colon.
pub(super) fn users(
    file: &Path,
    section: &BTreeMap<String, Option<String>>,
    warnings: &mut Warnings,
) -> Result<Users, Error> {
    let mut users = Users::new();
    for (name, hash) in section {
        let key = format!("basic_auth_users.{}", shown(name));
        if name.contains(':') {
            let message = "a name must not contain a colon, because HTTP ends the name there";
            return Err(Error::new(file, &key, message));
        }
        let hash = hash.as_deref().unwrap_or_default();
        let cost = hash.parse::<HashParts>().map(|parts| parts.get_cost());
        let Some(cost) = cost.ok().filter(|cost| COSTS.contains(cost)) else {
            let message = "must be a bcrypt hash, such as `htpasswd -nBC 10 NAME` prints";
            return Err(Error::new(file, &key, message));
        };
        if cost > HIGH_COST {
            let message =
                format!("has the cost {cost}, so each new password takes seconds or more");
            warnings.add(file, &key, message);
        }
        users.insert(name.clone(), hash.to_owned());
    }
    Ok(users)
}

type Digest = [u8; SHA256_OUTPUT_LEN];

/// The result for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// The request has the name and the password of a user, or no user is configured.
    Accepted,
    /// The request has no valid name and password.
    Refused,
    /// Too many other requests from the same address wait for a comparison.
    Busy,
}

impl From<bool> for Authentication {
    fn from(is_accepted: bool) -> Self {
        if is_accepted {
            Self::Accepted
        } else {
            Self::Refused
        }
    }
}

/// Compares passwords with hashes, and remembers the results. One comparison takes about 70 ms at cost 10.
///
/// At most one comparison runs at a time, so clients with wrong passwords occupy at most one core. At most one request
/// from each address waits for it, and the other requests wait for that one. So a client waits for as many comparisons as
/// there are addresses, however many requests another address sends.
pub(super) struct PasswordChecks {
    /// A random key for digests in memory, so that the cache holds no password.
    key: hmac::Key,
    /// The turn of each address from which requests wait.
    turns: Mutex<HashMap<Address, Weak<Semaphore>>>,
    /// The only permit belongs to the running comparison.
    pub(super) permits: Arc<Semaphore>,
    results: Mutex<Results>,
}

/// The digests of checked names, hashes and passwords, the oldest first.
#[derive(Default)]
struct Results {
    accepted: IndexSet<Digest>,
    refused: IndexSet<Digest>,
}

impl Results {
    fn get(&self, digest: &Digest) -> Option<bool> {
        if self.accepted.contains(digest) {
            return Some(true);
        }
        self.refused.contains(digest).then_some(false)
    }

    fn insert(&mut self, digest: Digest, is_accepted: bool) {
        let results = if is_accepted {
            &mut self.accepted
        } else {
            &mut self.refused
        };
        if results.len() == MAX_CACHED {
            results.shift_remove_index(0);
        }
        results.insert(digest);
    }
}

impl PasswordChecks {
    /// Checks without cached results. Fails if the system gives no random numbers.
    pub(super) fn new() -> Option<Self> {
        Some(Self {
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok()?,
            turns: Mutex::default(),
            permits: Arc::new(Semaphore::new(1)),
            results: Mutex::default(),
        })
    }

    /// Whether the header `Authorization` of a request from `client` has the name and the password of one of the `users`.
    pub(super) async fn authenticate(
        self: &Arc<Self>,
        users: &Users,
        authorization: Option<&HeaderValue>,
        client: Option<IpAddr>,
    ) -> Authentication {
        let Some((name, password)) = authorization.and_then(credentials) else {
            return Authentication::Refused;
        };
        let known = str::from_utf8(&name).ok().and_then(|name| users.get(name));
        let is_known = known.is_some();
        let Some(hash) = known.or_else(|| self.substitute(users, &name)) else {
            return Authentication::Refused;
        };
        // A name can become known or unknown while its hash stays the same, because an unknown name has a substitute.
        let parts = [&name, hash.as_bytes(), &password, &[u8::from(is_known)]];
        let digest = self.digest(&parts);
        if let Some(result) = self.cached(&digest) {
            return result;
        }
        let turn = self.turn(client);
        let Ok(_turn) = timeout(MAX_WAIT, turn.acquire()).await else {
            return Authentication::Busy;
        };
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        // Another request with the same password may have been checked during the wait.
        if let Some(result) = self.cached(&digest) {
            return result;
        }
        let (checks, hash) = (Arc::clone(self), hash.clone());
        // The thread keeps the permit and stores the result, even if the client has gone.
        let check = spawn_blocking(move || {
            let is_equal = bcrypt::verify(&password, &hash).unwrap_or(false);
            let is_accepted = is_equal && is_known;
            let mut results = checks
                .results
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            results.insert(digest, is_accepted);
            drop(permit);
            is_accepted
        });
        Authentication::from(check.await.unwrap_or(false))
    }

    /// The turn of the address of a client. Requests take it in the order of their arrival.
    fn turn(&self, client: Option<IpAddr>) -> Arc<Semaphore> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = turns.entry(client.map(network)).or_default();
        turn.upgrade().unwrap_or_else(|| {
            let new = Arc::new(Semaphore::new(1));
            *turn = Arc::downgrade(&new);
            new
        })
    }

    fn cached(&self, digest: &Digest) -> Option<Authentication> {
        let results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        results.get(digest).map(Authentication::from)
    }

    /// The hash that replaces the hash of an unknown name, so that the duration does not show whether a user
    /// exists. The same name always gets the same hash, as a known name does.
    fn substitute<'u>(&self, users: &'u Users, name: &[u8]) -> Option<&'u String> {
        let number = usize::from(self.digest(&[name])[0]);
        users.values().nth(number % users.len().max(1))
    }

    /// A keyed digest of the parts and their lengths.
    fn digest(&self, parts: &[&[u8]]) -> Digest {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut digest = Digest::default();
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

/// The address of a client; `None` if it is unknown. A client of IPv6 has 64 bits of addresses of its own, so only the
/// others count.
type Address = Option<IpAddr>;

fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        IpAddr::V4(address) => address.into(),
    }
}

/// The name and the password of a header `Authorization: Basic ...`.
fn credentials(header: &HeaderValue) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let mut name = STANDARD.decode(encoded).ok()?;
    let colon = name.iter().position(|byte| *byte == b':')?;
    let password = name.split_off(colon + 1);
    name.truncate(colon);
    Some((name, password))
}
