//! The registration history of one endpoint. It survives walks, a removal from the list, and restarts.

use crate::clock::UnixMillis;

/// An optional time in 8 bytes; `i64::MIN` is `None`. An `Option` takes 16, and a record has four `MaybeTime`s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MaybeTime(i64);

impl MaybeTime {
    pub(super) fn get(self) -> Option<UnixMillis> {
        (self.0 != i64::MIN).then_some(UnixMillis(self.0))
    }
}

impl From<Option<UnixMillis>> for MaybeTime {
    fn from(time: Option<UnixMillis>) -> Self {
        Self(time.map_or(i64::MIN, |time| time.0))
    }
}

/// What the exporter knows about the past of one endpoint. All times are starts of published walks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// The first walk that listed the endpoint.
    pub first_seen: UnixMillis,
    /// The first walk that read the value `last_known`. Without such a value, the same as `first_seen`.
    pub since: UnixMillis,
    /// The last value of `sip_registered` that was true or false.
    pub last_known: Option<bool>,
    /// The last walk that read true. No value while the walk of the snapshot itself reads true, so that the
    /// history of a registered endpoint does not change with every walk.
    last_registered: MaybeTime,
}

impl History {
    /// The history of an endpoint that the walk with the start `now` lists for the first time.
    pub fn new(registered: Option<bool>, now: UnixMillis) -> Self {
        Self {
            first_seen: now,
            since: now,
            last_known: registered,
            last_registered: None.into(),
        }
    }

    /// A history from stored values. Times after `now` become `now`, because the clock may have been wrong.
    pub fn stored(
        [first_seen, since]: [UnixMillis; 2],
        last_known: Option<bool>,
        last_registered: Option<UnixMillis>,
        now: UnixMillis,
    ) -> Self {
        Self {
            first_seen: first_seen.min(now),
            since: since.min(now),
            last_known,
            last_registered: last_registered.map(|time| time.min(now)).into(),
        }
    }

    /// The last walk that read `sip_registered` as true. `None` if no walk did, or if the walk of the snapshot did.
    pub fn last_registered(&self) -> Option<UnixMillis> {
        self.last_registered.get()
    }

    /// The first walk that read `sip_registered` as false after it had been true.
    pub fn lost_at(&self) -> Option<UnixMillis> {
        let is_lost = self.last_known == Some(false) && self.last_registered().is_some();
        is_lost.then_some(self.since)
    }

    /// The history for the time after the walk with the start `walk_started`, which the snapshot shows.
    pub(super) fn after(self, walk_started: UnixMillis) -> Self {
        let was_registered = self.last_known == Some(true);
        let time = self.last_registered();
        Self {
            last_registered: time.or(was_registered.then_some(walk_started)).into(),
            ..self
        }
    }

    /// The history with the value that the walk with the start `now` reads. Without a value, nothing changes: an
    /// endpoint that is registered, then unknown, then unregistered counts as lost.
    pub(super) fn next(self, registered: Option<bool>, now: UnixMillis) -> Self {
        let Some(is_registered) = registered else {
            return self;
        };
        Self {
            last_known: registered,
            since: if self.last_known == registered {
                self.since
            } else {
                now
            },
            last_registered: if is_registered {
                None.into()
            } else {
                self.last_registered
            },
            ..self
        }
    }

    /// This history, continued into the past by an `older` history of the same endpoint, which ended before this
    /// history began. A loss that this history has seen keeps its time.
    pub(super) fn continuing(self, older: Self) -> Self {
        let first_seen = older.first_seen.min(self.first_seen);
        let continued = older.next(self.last_known, self.since);
        let continued = if self.lost_at().is_some() {
            self
        } else if self.last_known == Some(true) {
            Self {
                since: continued.since,
                ..self
            }
        } else {
            continued
        };
        Self {
            first_seen,
            ..continued
        }
    }
}
