//! What the API said about endpoints while they were registered. For a lost endpoint, the API may give neither the user
//! agent nor the expiry any more.

use std::{collections::HashMap, sync::Arc};

use super::{
    snapshot::Snapshot,
    state::{Details, LastSeen, LastSeenMap},
};

impl Snapshot {
    /// The last values of the endpoints of this snapshot that are not registered. `known` are those of the snapshot
    /// `before` the walk, which had the details `details`.
    pub fn last_seen(
        &self,
        before: Option<&Self>,
        details: &Details,
        known: &Arc<LastSeenMap>,
    ) -> Arc<LastSeenMap> {
        let mut texts: HashMap<&str, Arc<str>> = HashMap::new();
        let mut now = LastSeenMap::new();
        let before = before
            .into_iter()
            .flat_map(|one| one.endpoints_with(details));
        let mut before = before.peekable();
        for endpoint in self.endpoints() {
            while before.next_if(|one| one.id < endpoint.id).is_some() {}
            let earlier = before.next_if(|one| one.id == endpoint.id);
            if endpoint.registered == Some(true) {
                continue;
            }
            let Some(earlier) = earlier else { continue };
            let known = known.get(endpoint.id);
            if let Some(known) = known.filter(|_| earlier.registered != Some(true)) {
                now.insert(endpoint.id.into(), known.clone());
                continue;
            }
            // A value that the row still has needs no memory.
            let lost = earlier.user_agent.filter(|_| endpoint.user_agent.is_none());
            if lost.is_none() && earlier.expires_at.is_none() {
                continue;
            }
            let user_agent =
                lost.map(|text| Arc::clone(texts.entry(text).or_insert_with(|| text.into())));
            let last = LastSeen {
                user_agent,
                expires_at: earlier.expires_at,
            };
            now.insert(endpoint.id.into(), last);
        }
        if now == **known {
            return Arc::clone(known);
        }
        Arc::new(now)
    }
}
