//! Which of the operator's groups an endpoint belongs to.

use crate::{
    config::{Group, GroupMatch, Pattern},
    snapshot::EndpointView,
};

/// Index of the first group whose every given expression matches.
pub fn group_of(groups: &[Group], endpoint: &EndpointView<'_>) -> Option<u16> {
    let at = groups
        .iter()
        .position(|group| matches(&group.matches, endpoint))?;
    u16::try_from(at).ok()
}

fn matches(wanted: &GroupMatch, endpoint: &EndpointView<'_>) -> bool {
    let fits = |pattern: &Option<Pattern>, text: &str| {
        pattern
            .as_ref()
            .is_none_or(|pattern| pattern.is_match(text))
    };
    fits(&wanted.alias, endpoint.alias)
        && fits(&wanted.username, endpoint.username)
        && fits(&wanted.application_id, endpoint.application.unwrap_or(""))
        && fits(&wanted.sub_account, endpoint.sub_account)
}
