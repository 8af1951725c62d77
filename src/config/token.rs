//! The token of an account, and its file. The operator may replace the file at any time.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};

use super::{
    error::{UNNAMED_FILE, shown_file},
    known_keys::Node,
    values::{is_header_word, read_regular},
};
use crate::blocking::Reads;

/// The maximum size of a token file, in bytes. A token must fit into a header.
const MAX_TOKEN: u64 = 16 << 10;
const NO_TOKEN: &str =
    "holds something that is not a token (one line of printable ASCII without spaces)";
/// The longest wait for a read of the token file. A read from a network share may never end.
const READ_TIMEOUT: Duration = Duration::from_secs(3);

/// The token of an account. `Debug` and `Serialize` do not show the token.
#[derive(Debug, Clone)]
pub enum ApiToken {
    /// A token in the configuration or in the environment.
    Inline(SecretString),
    /// A token in a file. The exporter reads the file again before each walk.
    File {
        /// The path in `auth_token_file`.
        path: PathBuf,
        /// The token that the file contained when the configuration was loaded, without surrounding white space.
        initial: SecretString,
    },
}

/// Two tokens from the same file are equal, because the poller reads the file again anyway.
impl PartialEq for ApiToken {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Inline(one), Self::Inline(other)) => {
                one.expose_secret() == other.expose_secret()
            }
            (Self::File { path: one, .. }, Self::File { path: other, .. }) => one == other,
            _ => false,
        }
    }
}

impl Serialize for ApiToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entry = match self {
            Self::Inline(_) => ("auth_token", "<redacted>".to_owned()),
            Self::File { path, .. } => ("auth_token_file", path.display().to_string()),
        };
        serializer.collect_map([entry])
    }
}

/// The token of an account, from `auth_token` or `auth_token_file`.
pub(super) fn token(account: &Node<'_>) -> Option<ApiToken> {
    match (account.get("auth_token"), account.get("auth_token_file")) {
        (Some(inline), None) => match parse_token(inline.text()?) {
            Ok(token) => Some(ApiToken::Inline(token)),
            Err(reason) => inline.reject(reason),
        },
        (None, Some(file)) => file_token(&file),
        (Some(inline), Some(file)) => {
            // The error is at `auth_token` if a variable sets this key, else at `auth_token_file`.
            let is_second = inline.is_from_environment();
            let second = Some(inline).filter(|_| is_second).unwrap_or(file);
            second.reject(
                "is set together with the other of auth_token and auth_token_file; keep one",
            )
        }
        (None, None) => {
            let keys = ["auth_token", "auth_token_file"];
            let Some(written) = keys.into_iter().find(|key| account.has(key)) else {
                return account.reject(if account.is_from_environment() {
                    "needs VOBIZ_AUTH_TOKEN_FILE or VOBIZ_AUTH_TOKEN"
                } else {
                    "needs `auth_token_file` or `auth_token`"
                });
            };
            account
                .child(written)
                .reject("is empty or null; the account needs a token here")
        }
    }
}

fn file_token(node: &Node<'_>) -> Option<ApiToken> {
    let path = node.file_path()?;
    let name = shown_file(node.text()?, &path);
    let token = if node.diagnostics.without_secrets {
        Ok(SecretString::default())
    } else {
        read_token_file(&path)
    };
    match token {
        Ok(initial) => Some(ApiToken::File { path, initial }),
        Err(error) if name == UNNAMED_FILE => node.reject(format!(
            "{name} {}; a token itself belongs in `auth_token`",
            error.reason
        )),
        Err(error) => node.reject(error.to_string()),
    }
}

/// The reason why a token file gives no token. The message names the file and omits its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("token file {} {reason}", path.display())]
pub struct TokenFileError {
    path: PathBuf,
    reason: String,
}

impl TokenFileError {
    /// `reason` continues a sentence that begins with the name of the file.
    fn new(path: &Path, reason: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }
}

/// The token in the regular file at `path`, without surrounding white space. Follows symbolic links.
///
/// Blocks the thread. A read from a network share may never end. Reads at most 16 KiB.
fn read_token_file(path: &Path) -> Result<SecretString, TokenFileError> {
    let bytes = read_regular(path, MAX_TOKEN)
        .map_err(|error| TokenFileError::new(path, format!("cannot be read: {error}")))?;
    let token = std::str::from_utf8(&bytes).map_or(Err(NO_TOKEN), parse_token);
    token.map_err(|reason| TokenFileError::new(path, reason))
}

/// The token in `text`, without surrounding white space. The error continues a sentence that begins with the
/// name of the key or of the file.
fn parse_token(text: &str) -> Result<SecretString, &'static str> {
    match text.trim() {
        "" => Err("is empty"),
        path if path.contains('/') && Path::new(path).is_file() => {
            Err("holds the path of a file, not a token")
        }
        token if is_header_word(token) => Ok(SecretString::from(token)),
        _ => Err(NO_TOKEN),
    }
}

type Read = Result<SecretString, TokenFileError>;

/// The source of an account's token, and the token in use.
#[derive(Debug)]
pub struct TokenFile {
    path: Option<PathBuf>,
    token: SecretString,
    /// Reads the file, and blocks the thread. Tests replace this function.
    read: fn(&Path) -> Read,
    reads: Reads<Read>,
}

impl TokenFile {
    /// A source that uses the token of the configuration until [`Self::reload`] finds another token.
    pub fn new(token: &ApiToken) -> Self {
        let (path, token) = match token {
            ApiToken::Inline(token) => (None, token),
            ApiToken::File { path, initial } => (Some(path.clone()), initial),
        };
        Self {
            path,
            token: token.clone(),
            read: read_token_file,
            reads: Reads::default(),
        }
    }

    /// Reads the file again, for at most three seconds. Stores and returns a changed token.
    ///
    /// # Errors
    /// The file gives no token. The token in use does not change.
    pub async fn reload(&mut self) -> Result<Option<SecretString>, TokenFileError> {
        let Some(path) = self.path.clone() else {
            return Ok(None);
        };
        let token = self.read_file(path).await?;
        if token.expose_secret() == self.token.expose_secret() {
            return Ok(None);
        }
        self.token = token.clone();
        Ok(Some(token))
    }

    async fn read_file(&mut self, path: PathBuf) -> Read {
        let (read, of) = (self.read, path.clone());
        let result = self.reads.run(READ_TIMEOUT, move || read(&of)).await;
        let failed = |error| TokenFileError::new(&path, format!("cannot be read: {error}"));
        result.map_err(failed)?
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        sync::atomic::{AtomicU32, Ordering},
    };

    use tokio::time::{Instant, advance};

    use super::*;

    static READS: AtomicU32 = AtomicU32::new(0);

    /// Reads any file, also a named pipe. Reading a pipe hangs until another process writes to it.
    fn read(path: &Path) -> Read {
        READS.fetch_add(1, Ordering::Relaxed);
        let text = fs::read_to_string(path);
        let text = text.map_err(|error| TokenFileError::new(path, error.to_string()))?;
        Ok(text.into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_hangs_is_given_up_and_not_read_a_second_time_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let mut token = TokenFile {
            read,
            ..TokenFile::new(&ApiToken::File {
                path: path.clone(),
                initial: "old".to_owned().into(),
            })
        };

        // Tokio's paused clock does not advance while a thread reads the file, so the test advances the clock.
        let (first, ()) = tokio::join!(token.reload(), advance(READ_TIMEOUT));
        let begun = Instant::now();
        let second = token.reload().await;
        let waited = begun.elapsed();
        // This write ends the read. Without the write, the test would hang after a failed assertion, because
        // the runtime cannot end before the read ends.
        fs::write(&path, "late").unwrap();

        for read in [first, second] {
            let error = read.unwrap_err().to_string();
            assert!(error.ends_with("the system does not answer"), "{error}");
        }
        assert_eq!(waited, Duration::ZERO);
        assert_eq!(READS.load(Ordering::Relaxed), 1);

        fs::remove_file(&path).unwrap();
        fs::write(&path, "new").unwrap();
        while token.reads.is_running() {
            tokio::task::yield_now().await;
        }
        let new = token.reload().await.unwrap();
        assert_eq!(new.unwrap().expose_secret(), "new");
    }

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn white_space_around_a_token_is_trimmed() {
        let file = file(b"  s3cret-token\r\n\n");
        assert_eq!(
            read_token_file(file.path()).unwrap().expose_secret(),
            "s3cret-token"
        );
    }

    #[test]
    fn every_error_names_the_file_and_none_shows_its_content() {
        let missing = Path::new("/nowhere/at/all");
        let missing = read_token_file(missing).unwrap_err().to_string();
        assert!(
            missing.starts_with("token file /nowhere/at/all cannot be read: "),
            "{missing}"
        );

        let empty = file(b" \n");
        let error = read_token_file(empty.path()).unwrap_err();
        assert_eq!(error.reason, "is empty");

        let long = file("x".repeat(20_000).as_bytes());
        let error = read_token_file(long.path()).unwrap_err();
        assert_eq!(error.reason, "cannot be read: it is larger than 16.0 KiB");
        for content in [
            &b"s3cret\ntoken"[..],
            b"s3cret\x00",
            "s3cret\u{e9}".as_bytes(),
            b"s3cret\xff",
        ] {
            let unfit = file(content);
            let error = read_token_file(unfit.path()).unwrap_err();
            assert!(error.reason.contains("is not a token"), "{error}");
            let shown = format!("{error} {error:?}");
            assert!(
                shown.contains(&unfit.path().display().to_string()),
                "{shown}"
            );
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }

    #[test]
    fn folders_pipes_and_devices_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for path in [folder.path(), &pipe, Path::new("/dev/zero")] {
            let error = read_token_file(path).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "token file {} cannot be read: it is not a regular file",
                    path.display()
                )
            );
        }
    }

    #[test]
    fn links_to_a_file_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("..2024")).unwrap();
        std::fs::write(at("..2024").join("token"), "s3cret").unwrap();
        // In Kubernetes, the file of a secret is a link to `..data/token`, and `..data` is a link, too.
        std::os::unix::fs::symlink("..2024", at("..data")).unwrap();
        std::os::unix::fs::symlink("..data/token", at("token")).unwrap();
        let token = read_token_file(&at("token")).unwrap();
        assert_eq!(token.expose_secret(), "s3cret");
    }
}
