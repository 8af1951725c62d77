//! Who is asking, and may they?

use super::world::World;

/// What a request showed of credentials; the credentials themselves are not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Presented {
    /// Was there an `X-Auth-ID`?
    pub auth_id: bool,
    /// Was there an `X-Auth-Token`?
    pub token: bool,
    /// Do they belong together and to the account of the path?
    pub accepted: bool,
}

/// On whose behalf a request is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// The main account's number.
    pub(super) account: usize,
    /// The sub-account, when it asks for itself.
    pub(super) owner: Option<String>,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// This header is missing.
    Missing(&'static str),
    /// Auth id and token do not belong together.
    Wrong,
    /// The path names an account that nobody has.
    NoSuchAccount,
    /// The path names somebody else's account.
    NotYours,
}

/// Compares the credentials of a request with the account of its path.
pub(super) fn check(
    world: &World,
    path: &str,
    auth_id: Option<&str>,
    token: Option<&str>,
) -> Result<Caller, Refusal> {
    let auth_id = auth_id.ok_or(Refusal::Missing("X-Auth-ID"))?;
    let token = token.ok_or(Refusal::Missing("X-Auth-Token"))?;
    let (caller, expected) = find(world, auth_id).ok_or(Refusal::Wrong)?;
    if expected != token {
        return Err(Refusal::Wrong);
    }
    if path == auth_id {
        return Ok(caller);
    }
    Err(if find(world, path).is_some() {
        Refusal::NotYours
    } else {
        Refusal::NoSuchAccount
    })
}

/// The holder of an auth id, and the token that belongs to it.
fn find<'a>(world: &'a World, auth_id: &str) -> Option<(Caller, &'a str)> {
    world
        .accounts()
        .iter()
        .enumerate()
        .find_map(|(number, account)| {
            if account.auth_id == auth_id {
                return Some((
                    Caller {
                        account: number,
                        owner: None,
                    },
                    account.token.as_str(),
                ));
            }
            let sub = account
                .sub_accounts
                .iter()
                .find(|sub| sub.auth_id == auth_id)?;
            Some((
                Caller {
                    account: number,
                    owner: Some(sub.auth_id.clone()),
                },
                sub.token.as_str(),
            ))
        })
}
