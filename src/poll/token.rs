//! The account's token, which its file may change at any time.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use crate::config;

/// What a look at the token's file found.
#[derive(Debug)]
pub(super) enum Look {
    /// There is no file, or it holds the token that is in use.
    Same,
    /// The file holds another token, which is in use from now on.
    Changed(SecretString),
    /// The file gives no token; the one in use stays.
    Unreadable(config::TokenFileError),
}

/// Where the token comes from and which is in use.
#[derive(Debug)]
pub(super) struct TokenInUse {
    path: Option<PathBuf>,
    token: SecretString,
}

impl TokenInUse {
    pub(super) fn new(token: &config::Token) -> Self {
        match token {
            config::Token::Inline(token) => Self {
                path: None,
                token: token.clone(),
            },
            config::Token::File { path, initial } => Self {
                path: Some(path.clone()),
                token: initial.clone(),
            },
        }
    }

    /// Reads the file again.
    pub(super) async fn look(&mut self) -> Look {
        let Some(path) = self.path.clone() else {
            return Look::Same;
        };
        let read = tokio::task::spawn_blocking(move || config::read_token_file(&path));
        match read.await.expect("reading a file does not panic") {
            Ok(token) if token.expose_secret() == self.token.expose_secret() => Look::Same,
            Ok(token) => {
                self.token = token.clone();
                Look::Changed(token)
            }
            Err(error) => Look::Unreadable(error),
        }
    }
}
