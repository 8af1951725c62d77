//! The credentials of accounts and requests, and the check of the credentials of a request.

use super::world::World;

/// The credentials of a simulated account or sub-account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Login {
    /// The value of `X-Auth-ID`.
    pub auth_id: &'static str,
    /// The value of `X-Auth-Token`.
    pub token: &'static str,
}

/// Which credential headers a request has. The values of the headers are not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PresentedCredentials {
    /// Whether the request has an `X-Auth-ID` header.
    pub auth_id: bool,
    /// Whether the request has an `X-Auth-Token` header.
    pub token: bool,
    /// Whether the credentials are valid for the account in the path.
    pub accepted: bool,
}

/// The authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// The index of the main account.
    pub(super) account: usize,
    /// The auth id of the calling sub-account; `None` for the main account.
    pub(super) owner: Option<String>,
}

/// The reason for a refused request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthError {
    /// This header is missing.
    Missing(&'static str),
    /// No account has this auth id with this token.
    Wrong,
    /// The account in the path does not exist.
    NoSuchAccount,
    /// The account in the path exists, but is not the account of the credentials.
    OtherAccount,
}

impl AuthError {
    /// The status of the response to the refused request.
    pub(super) fn status(self) -> u16 {
        match self {
            Self::Missing(_) | Self::Wrong | Self::NoSuchAccount => 401,
            Self::OtherAccount => 403,
        }
    }
}

/// Checks whether the credentials of a request are valid for the account in its path.
pub(super) fn check(
    world: &World,
    path: &str,
    auth_id: Option<&str>,
    token: Option<&str>,
) -> Result<Caller, AuthError> {
    let auth_id = auth_id.ok_or(AuthError::Missing("X-Auth-ID"))?;
    let token = token.ok_or(AuthError::Missing("X-Auth-Token"))?;
    let (caller, expected) = find(world, auth_id).ok_or(AuthError::Wrong)?;
    if expected != token {
        return Err(AuthError::Wrong);
    }
    if path == auth_id {
        return Ok(caller);
    }
    Err(if find(world, path).is_some() {
        AuthError::OtherAccount
    } else {
        AuthError::NoSuchAccount
    })
}

/// Finds the caller with this auth id, and the caller's valid token.
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
