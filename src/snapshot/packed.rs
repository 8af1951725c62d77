//! How an endpoint lies in memory.
//!
//! With 100,000 endpoints the snapshots are most of what the process weighs, and two of them exist
//! while a new one is made. So unique texts lie one behind the other in one buffer, texts that
//! repeat (user agents, applications, sub-accounts) are kept once, and a record holds numbers.

use std::{collections::HashMap, sync::Arc};

use super::EndpointView;
use crate::{
    api::{Endpoint, Fields},
    clock::UnixMillis,
};

/// A piece of the text buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TextRange {
    start: u32,
    length: u16,
}

impl TextRange {
    /// Appends `text` to the buffer; text that has no room any more (4 GiB) is left out.
    pub(super) fn append(texts: &mut String, text: &str) -> Self {
        let (Ok(start), Ok(length)) = (u32::try_from(texts.len()), u16::try_from(text.len()))
        else {
            return Self::default();
        };
        texts.push_str(text);
        Self { start, length }
    }

    pub(super) fn of(self, texts: &str) -> &str {
        let start = self.start as usize;
        &texts[start..start + usize::from(self.length)]
    }

    /// The same text in another buffer.
    pub(super) fn moved(self, from: &str, to: &mut String) -> Self {
        Self::append(to, self.of(from))
    }
}

/// A time that may be unknown, in eight bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MaybeTime(i64);

impl MaybeTime {
    pub(super) const UNKNOWN: Self = Self(i64::MIN);

    pub(super) fn get(self) -> Option<UnixMillis> {
        (self != Self::UNKNOWN).then_some(UnixMillis(self.0))
    }
}

impl From<Option<UnixMillis>> for MaybeTime {
    fn from(time: Option<UnixMillis>) -> Self {
        time.map_or(Self::UNKNOWN, |time| Self(time.0))
    }
}

/// Texts that repeat, each kept once. Number 0 stands for "none".
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Interner {
    list: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

impl Interner {
    pub(super) fn number(&mut self, word: Option<&str>) -> u32 {
        let Some(word) = word else { return 0 };
        if let Some(&number) = self.numbers.get(word) {
            return number;
        }
        let word: Arc<str> = word.into();
        self.list.push(Arc::clone(&word));
        let number = u32::try_from(self.list.len()).unwrap_or(0);
        self.numbers.insert(word, number);
        number
    }

    pub(super) fn word(&self, number: u32) -> Option<&str> {
        let at = usize::try_from(number).ok()?.checked_sub(1)?;
        self.list.get(at).map(|word| &**word)
    }

    /// How many numbers there are, 0 included.
    pub(super) fn numbers(&self) -> usize {
        self.list.len() + 1
    }
}

/// One endpoint, packed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    pub(super) id: TextRange,
    pub(super) username: TextRange,
    pub(super) alias: TextRange,
    pub(super) contact: TextRange,
    pub(super) received: TextRange,
    pub(super) user_agent: u32,
    pub(super) application: u32,
    pub(super) sub_account: u32,
    /// Index of the operator's group plus one; 0 for none.
    pub(super) group: u16,
    /// Two bits for each capability: known, allowed.
    pub(super) allowed: u16,
    pub(super) rejected: Fields,
    pub(super) assumed: Fields,
    pub(super) registered: Option<bool>,
    /// The last state that was true or false, in this snapshot or one before.
    pub(super) last_known: Option<bool>,
    pub(super) retained: bool,
    pub(super) lost_at: MaybeTime,
    pub(super) expires_at: MaybeTime,
    pub(super) created_at: MaybeTime,
    pub(super) updated_at: MaybeTime,
    /// How long before the end of the snapshot's walk another had it; 0 unless retained.
    pub(super) unseen_millis: u64,
}

impl Record {
    pub(super) fn pack(
        endpoint: &Endpoint,
        with_contacts: bool,
        texts: &mut String,
        words: &mut Interner,
    ) -> Self {
        let mut text =
            |text: &Option<String>| TextRange::append(texts, text.as_deref().unwrap_or(""));
        let username = text(&endpoint.username);
        let alias = text(&endpoint.alias);
        let (contact, received) = if with_contacts {
            (text(&endpoint.contact), text(&endpoint.received))
        } else {
            Default::default()
        };
        Self {
            id: TextRange::append(texts, &endpoint.id),
            username,
            alias,
            contact,
            received,
            user_agent: words.number(endpoint.user_agent.as_deref()),
            application: words.number(endpoint.application.as_ref().map(|app| app.id.as_str())),
            sub_account: words.number(endpoint.sub_account.as_deref()),
            group: 0,
            allowed: pack_allowed(endpoint.allowed),
            rejected: endpoint.rejected,
            assumed: endpoint.assumed,
            registered: endpoint.registered,
            last_known: endpoint.registered,
            retained: false,
            lost_at: MaybeTime::UNKNOWN,
            expires_at: endpoint.expires_at.into(),
            created_at: endpoint.created_at.into(),
            updated_at: endpoint.updated_at.into(),
            unseen_millis: 0,
        }
    }

    /// The same record with its texts in another buffer.
    pub(super) fn moved(&self, from: &str, to: &mut String) -> Self {
        Self {
            id: self.id.moved(from, to),
            username: self.username.moved(from, to),
            alias: self.alias.moved(from, to),
            contact: self.contact.moved(from, to),
            received: self.received.moved(from, to),
            ..self.clone()
        }
    }

    /// The same record with the numbers that other words have for its words.
    pub(super) fn renumbered(&self, from: &Interner, to: &mut Interner) -> Self {
        Self {
            user_agent: to.number(from.word(self.user_agent)),
            application: to.number(from.word(self.application)),
            sub_account: to.number(from.word(self.sub_account)),
            ..self.clone()
        }
    }

    pub(super) fn view<'a>(&self, texts: &'a str, words: &'a Interner) -> EndpointView<'a> {
        let given = |span: TextRange| Some(span.of(texts)).filter(|text| !text.is_empty());
        EndpointView {
            id: self.id.of(texts),
            username: self.username.of(texts),
            alias: self.alias.of(texts),
            sub_account: words.word(self.sub_account).unwrap_or(""),
            group: self.group.checked_sub(1),
            registered: self.registered,
            lost_at: self
                .lost_at
                .get()
                .filter(|_| self.registered == Some(false)),
            expires_at: self
                .expires_at
                .get()
                .filter(|_| self.registered == Some(true)),
            user_agent: words.word(self.user_agent),
            application: words.word(self.application),
            contact: given(self.contact),
            received: given(self.received),
            created_at: self.created_at.get(),
            updated_at: self.updated_at.get(),
            allowed: unpack_allowed(self.allowed),
            detail_at: None,
            retained: self.retained,
        }
    }
}

fn pack_allowed(allowed: [Option<bool>; 7]) -> u16 {
    allowed.iter().rev().fold(0, |bits, one| {
        bits << 2
            | match one {
                None => 0b00,
                Some(false) => 0b10,
                Some(true) => 0b11,
            }
    })
}

fn unpack_allowed(bits: u16) -> [Option<bool>; 7] {
    std::array::from_fn(|at| {
        let two = bits >> (2 * at) & 0b11;
        (two & 0b10 != 0).then_some(two & 0b01 != 0)
    })
}
