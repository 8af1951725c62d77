//! The account's token, which its file may replace at any time.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use tokio::{task::JoinHandle, time::timeout};

use crate::config::{self, TokenFileError};

/// A walk waits so long for the token file, which may be on a network share that does not respond.
const READ_TIMEOUT: Duration = Duration::from_secs(3);

type Read = Result<SecretString, TokenFileError>;

/// The source of the token, and the token in use.
#[derive(Debug)]
pub(super) struct TokenFile {
    path: Option<PathBuf>,
    token: SecretString,
    /// Blocking; given by tests.
    read: fn(&Path) -> Read,
    /// A read that timed out. It cannot be cancelled and occupies a thread, so there is one at most.
    hanging: Option<JoinHandle<Read>>,
}

impl TokenFile {
    pub(super) fn new(token: &config::ApiToken) -> Self {
        let (path, token) = match token {
            config::ApiToken::Inline(token) => (None, token),
            config::ApiToken::File { path, initial } => (Some(path.clone()), initial),
        };
        Self {
            path,
            token: token.clone(),
            read: config::read_token_file,
            hanging: None,
        }
    }

    /// Reads the file again, and gives up after [`READ_TIMEOUT`]. Returns a token that differs from the one
    /// in use, and uses it from now on.
    ///
    /// # Errors
    /// The file gave no token; the one in use stays.
    pub(super) async fn reload(&mut self) -> Result<Option<SecretString>, TokenFileError> {
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
        let hangs = || TokenFileError::new(&path, "cannot be read: the system does not answer");
        // The result of a read that timed out is dropped: it may be long out of date.
        if self.hanging.as_ref().is_some_and(|one| !one.is_finished()) {
            return Err(hangs());
        }
        let (read, of) = (self.read, path.clone());
        let task = tokio::task::spawn_blocking(move || read(&of));
        // Stored before the wait, because the wait may be cancelled.
        let task = self.hanging.insert(task);
        match timeout(READ_TIMEOUT, task).await {
            Ok(read) => {
                self.hanging = None;
                let aborted = "cannot be read: the read was aborted";
                read.map_err(|_| TokenFileError::new(&path, aborted))?
            }
            Err(_) => Err(hangs()),
        }
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

    /// Reads even a pipe, which hangs until another process writes into it.
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
            ..TokenFile::new(&config::ApiToken::File {
                path: path.clone(),
                initial: "old".to_owned().into(),
            })
        };

        // A paused clock stands still while a thread reads: it is moved by hand.
        let (first, ()) = tokio::join!(token.reload(), advance(READ_TIMEOUT));
        let begun = Instant::now();
        let second = token.reload().await;
        let waited = begun.elapsed();
        // Ends the read, for which the test's runtime waits, before an assertion can fail.
        fs::write(&path, "late").unwrap();

        for read in [first, second] {
            let error = read.unwrap_err().to_string();
            assert!(error.ends_with("the system does not answer"), "{error}");
        }
        assert_eq!(waited, Duration::ZERO);
        assert_eq!(READS.load(Ordering::Relaxed), 1);

        fs::remove_file(&path).unwrap();
        fs::write(&path, "new").unwrap();
        while token.hanging.as_ref().is_some_and(|one| !one.is_finished()) {
            tokio::task::yield_now().await;
        }
        let new = token.reload().await.unwrap();
        assert_eq!(new.unwrap().expose_secret(), "new");
    }
}
