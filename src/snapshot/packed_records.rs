//! The packed form of endpoints in memory.
//!
//! With 100,000 endpoints, snapshots use most of the memory. While a new snapshot is built, the old snapshot
//! still exists. A record of ten `String`s would use several hundred bytes besides its text. So a record has
//! only numbers, which refer to texts. One buffer has the texts that differ between endpoints. Each repeated
//! text is stored once. The process then needs 66 MiB for 100,000 endpoints (docs/performance.md, decision 11).

use std::{collections::BTreeSet, time::Duration};

use indexmap::IndexSet;

use super::history::{History, MaybeTime};
use crate::{
    api::{Endpoint, Field, Fields},
    clock::UnixMillis,
};

/// One endpoint of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EndpointView<'a> {
    /// The value of `endpoint_id`.
    pub id: &'a str,
    /// `username`; "" if the API gives no usable value.
    pub username: &'a str,
    /// `alias`; "" if the API gives no usable value.
    pub alias: &'a str,
    /// `sub_account`; "" for the main account.
    pub sub_account: &'a str,
    /// Index into [`Shown::groups`](super::Shown::groups); `None` if no group matches.
    pub group: Option<u16>,
    /// `sip_registered`; `None` if it is neither true nor false.
    pub registered: Option<bool>,
    /// The history of the registration.
    pub history: History,
    /// The expiry of the registration, from the row or the detail. Only registered endpoints have it.
    pub expires_at: Option<UnixMillis>,
    /// User agent of the SIP client.
    pub user_agent: Option<&'a str>,
    /// Id of the application: "" for an object without a usable id, `None` for any other value without an id.
    pub application: Option<&'a str>,
    /// False if `application` has an unreadable value or id.
    pub application_known: bool,
    /// The address of the device, as the device reports it.
    pub contact: Option<&'a str>,
    /// The address of the device, as the registrar sees it.
    pub received: Option<&'a str>,
    /// The value of `created_at`.
    pub created_at: Option<UnixMillis>,
    /// The value of `updated_at`.
    pub updated_at: Option<UnixMillis>,
    /// The values of the fields `allow_*`, in the order of [`Capability::ALL`](crate::api::Capability::ALL).
    pub allowed: [Option<bool>; 7],
    /// The time at which the detail of the endpoint was retrieved; `None` without a detail.
    pub detail_at: Option<UnixMillis>,
    /// Whether the endpoint is retained, which means that the last walk did not find it.
    pub retained: bool,
}

impl<'a> EndpointView<'a> {
    /// Start of the walk that found the loss of the registration. Only unregistered endpoints have it.
    pub fn lost_at(&self) -> Option<UnixMillis> {
        let lost_at = self.history.lost_at();
        lost_at.filter(|_| self.registered == Some(false))
    }

    /// The alias, the username and the sub-account. These texts and the application decide the group.
    pub(super) fn names(&self) -> [&'a str; 3] {
        [self.alias, self.username, self.sub_account]
    }
}

/// One endpoint as the state database keeps it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StoredEndpoint<'a> {
    /// The value of `endpoint_id`.
    pub id: &'a str,
    /// `username`; "" if the API gives no usable value, or if `metrics.username` is false.
    pub username: &'a str,
    /// `alias`; "" if the API gives no usable value, or if `metrics.username` is false.
    pub alias: &'a str,
    /// `sub_account`; "" for the main account.
    pub sub_account: &'a str,
    /// Id of the application; `None` for none.
    pub application: Option<&'a str>,
    /// False if the list has an unreadable application. The stored value then stays.
    pub application_known: bool,
    /// User agent of the SIP client; the last known one if it is stored.
    pub user_agent: Option<&'a str>,
    /// `sip_registered`; `None` if it is neither true nor false.
    pub registered: Option<bool>,
    /// The history of the registration.
    pub history: History,
    /// The time at which a walk last listed the endpoint; `None` if the walk of the snapshot did.
    pub last_listed: Option<UnixMillis>,
}

/// A range of [`Texts::unique`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TextRange {
    start: u32,
    length: u16,
}

impl TextRange {
    /// Appends `text`, of at most 256 bytes, and returns its range. If `buffer` has 4 GiB, the range is empty.
    pub(super) fn append(buffer: &mut String, text: &str) -> Self {
        let (Ok(start), Ok(length)) = (u32::try_from(buffer.len()), u16::try_from(text.len()))
        else {
            return Self::default();
        };
        buffer.push_str(text);
        Self { start, length }
    }

    fn of(self, buffer: &str) -> &str {
        let start = self.start as usize;
        &buffer[start..start + usize::from(self.length)]
    }
}

/// The texts of all records.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts {
    /// Texts that differ between endpoints, one after another.
    pub(super) unique: String,
    /// Texts that repeat: user agents, applications, sub-accounts.
    repeated: IndexSet<Box<str>>,
}

impl Texts {
    pub(super) fn get(&self, range: TextRange) -> &str {
        range.of(&self.unique)
    }

    /// Stores a repeated text once. Returns its number, which is its index plus one; 0 means no text.
    fn intern(&mut self, text: Option<&str>) -> u32 {
        let Some(text) = text else { return 0 };
        let known = self.repeated.get_index_of(text);
        let index = known.unwrap_or_else(|| self.repeated.insert_full(text.into()).0);
        u32::try_from(index + 1).unwrap_or(0)
    }

    /// The distinct repeated texts with these numbers, of which 0 is "".
    pub(super) fn distinct(&self, numbers: impl Iterator<Item = u32>) -> BTreeSet<&str> {
        let mut used = vec![false; self.repeated.len() + 1];
        for number in numbers {
            if let Some(used) = used.get_mut(number as usize) {
                *used = true;
            }
        }
        let used = (0..).zip(used).filter(|(_, is_used)| *is_used);
        used.map(|(number, _)| self.interned(number).unwrap_or(""))
            .collect()
    }

    pub(super) fn interned(&self, number: u32) -> Option<&str> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.repeated.get_index(index).map(|text| &**text)
    }
}

/// One packed endpoint.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) id: TextRange,
    pub(super) username: TextRange,
    alias: TextRange,
    contact: TextRange,
    received: TextRange,
    user_agent: u32,
    pub(super) application: u32,
    pub(super) sub_account: u32,
    /// Index of the configured group plus one; 0 for no group.
    pub(super) group: u16,
    /// Two bits for each capability: whether the row has its flag, and whether the flag is true.
    allowed: u16,
    pub(super) rejected: Fields,
    pub(super) assumed: Fields,
    pub(super) registered: Option<bool>,
    pub(super) retained: bool,
    pub(super) history: History,
    expires_at: MaybeTime,
    created_at: MaybeTime,
    updated_at: MaybeTime,
    /// The age of the record at the end of the snapshot's walk. 0 if this walk found the endpoint.
    unseen_millis: u64,
}

impl Record {
    pub(super) fn pack(endpoint: &Endpoint, with_contacts: bool, texts: &mut Texts) -> Self {
        let unique = &mut texts.unique;
        let mut text =
            |text: &Option<String>| TextRange::append(unique, text.as_deref().unwrap_or(""));
        let (username, alias) = (text(&endpoint.username), text(&endpoint.alias));
        let (contact, received) = if with_contacts {
            (text(&endpoint.contact), text(&endpoint.received))
        } else {
            Default::default()
        };
        let application = endpoint.application.as_ref();
        Self {
            id: TextRange::append(unique, &endpoint.id),
            username,
            alias,
            contact,
            received,
            user_agent: texts.intern(endpoint.user_agent.as_deref()),
            application: texts.intern(application.map(|application| &*application.id)),
            sub_account: texts.intern(endpoint.sub_account.as_deref()),
            group: 0,
            allowed: pack_allowed(endpoint.allowed),
            rejected: endpoint.rejected,
            assumed: endpoint.assumed,
            registered: endpoint.registered,
            retained: false,
            history: History::new(endpoint.registered, UnixMillis(0)),
            expires_at: endpoint.expires_at.into(),
            created_at: endpoint.created_at.into(),
            updated_at: endpoint.updated_at.into(),
            unseen_millis: 0,
        }
    }

    /// The record of a stored endpoint. `unseen` is the time since a walk last listed the endpoint.
    pub(super) fn stored(
        endpoint: &StoredEndpoint<'_>,
        unseen: Duration,
        texts: &mut Texts,
    ) -> Self {
        let none = TextRange::default();
        let sub_account = Some(endpoint.sub_account).filter(|text| !text.is_empty());
        Self {
            id: TextRange::append(&mut texts.unique, endpoint.id),
            username: TextRange::append(&mut texts.unique, endpoint.username),
            alias: TextRange::append(&mut texts.unique, endpoint.alias),
            contact: none,
            received: none,
            user_agent: texts.intern(endpoint.user_agent),
            application: texts.intern(endpoint.application),
            sub_account: texts.intern(sub_account),
            group: 0,
            allowed: 0,
            rejected: Fields::default(),
            assumed: Fields::default(),
            registered: endpoint.registered,
            retained: endpoint.last_listed.is_some(),
            history: endpoint.history,
            expires_at: None.into(),
            created_at: None.into(),
            updated_at: None.into(),
            unseen_millis: u64::try_from(unseen.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Copies the record's texts from the buffer `from` to the buffer `to`. Both are a [`Texts::unique`].
    pub(super) fn move_texts(&mut self, from: &str, to: &mut String) {
        for range in [
            &mut self.id,
            &mut self.username,
            &mut self.alias,
            &mut self.contact,
            &mut self.received,
        ] {
            *range = TextRange::append(to, range.of(from));
        }
    }

    /// Returns the record with all its texts copied from `from` to `to`.
    pub(super) fn moved(mut self, from: &Texts, to: &mut Texts) -> Self {
        self.move_texts(&from.unique, &mut to.unique);
        for number in [
            &mut self.user_agent,
            &mut self.application,
            &mut self.sub_account,
        ] {
            *number = to.intern(from.interned(*number));
        }
        self
    }

    pub(super) fn view<'a>(&self, texts: &'a Texts) -> EndpointView<'a> {
        let address = |range| Some(texts.get(range)).filter(|text| !text.is_empty());
        let application = texts.interned(self.application);
        EndpointView {
            id: texts.get(self.id),
            username: texts.get(self.username),
            alias: texts.get(self.alias),
            sub_account: texts.interned(self.sub_account).unwrap_or(""),
            group: self.group.checked_sub(1),
            registered: self.registered,
            history: self.history,
            expires_at: self
                .expires_at
                .get()
                .filter(|_| self.registered == Some(true)),
            user_agent: texts.interned(self.user_agent),
            application,
            application_known: application.is_some_and(|id| !id.is_empty())
                || !self.rejected.contains(Field::Application),
            contact: address(self.contact),
            received: address(self.received),
            created_at: self.created_at.get(),
            updated_at: self.updated_at.get(),
            allowed: unpack_allowed(self.allowed),
            detail_at: None,
            retained: self.retained,
        }
    }

    /// A retained copy, after a walk that missed the endpoint. `walk_started` is the start of the walk of the old
    /// snapshot. `passed` is as in [`Self::unseen_for`].
    pub(super) fn retained(&self, walk_started: UnixMillis, passed: Duration) -> Self {
        let unseen_millis = self.unseen_for(passed).as_millis();
        Self {
            retained: true,
            history: self.history.after(walk_started),
            unseen_millis: u64::try_from(unseen_millis).unwrap_or(u64::MAX),
            ..self.clone()
        }
    }

    /// Time since a walk last found the endpoint. `passed` is the time since the end of the snapshot's walk.
    pub(super) fn unseen_for(&self, passed: Duration) -> Duration {
        Duration::from_millis(self.unseen_millis).saturating_add(passed)
    }
}

fn pack_allowed(allowed: [Option<bool>; 7]) -> u16 {
    let bits = |allowed: Option<bool>| allowed.map_or(0b00, |allowed| 0b10 | u16::from(allowed));
    let allowed = allowed.into_iter().rev();
    allowed.fold(0, |packed, one| packed << 2 | bits(one))
}

fn unpack_allowed(packed: u16) -> [Option<bool>; 7] {
    std::array::from_fn(|at| {
        let bits = packed >> (2 * at);
        (bits & 0b10 != 0).then_some(bits & 0b01 != 0)
    })
}
