//! Tokens: read, trimmed, checked, and never shown.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};

/// A token is a header value; a file larger than this is something else.
const MOST_BYTES: u64 = 16 * 1024;

/// Why a token file gave no token. Names the file, never what it holds.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It is missing or not ours to read.
    #[error("token file {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A pipe, a device, a socket or a folder. Reading some of them never ends.
    #[error("token file {} is not a regular file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Nothing but white space.
    #[error("token file {} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// More than one line, control characters, not ASCII, or far too long.
    #[error(
        "token file {} holds something that is not a token (one line of printable ASCII without spaces)",
        path.display()
    )]
    Unfit {
        /// The file.
        path: PathBuf,
    },
}

/// The token in the file at `path`, without the white space around it.
///
/// Blocking, and short where the file lies on a disk: at most 16 KiB are read, and only of a regular
/// file or of what a symbolic link leads to. On a network share it may take for ever.
pub fn read_token_file(path: &Path) -> Result<SecretString, TokenFileError> {
    let path_buf = || path.to_owned();
    let unreadable = |source| TokenFileError::Unreadable {
        path: path_buf(),
        source,
    };
    // Asked for before opening: to open a pipe is to wait for its other end.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(TokenFileError::NotAFile { path: path_buf() });
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(TokenFileError::Unfit { path: path_buf() });
    }
    let text =
        std::str::from_utf8(&bytes).map_err(|_| TokenFileError::Unfit { path: path_buf() })?;
    token(text).map_err(|fault| match fault {
        Fault::Empty => TokenFileError::Empty { path: path_buf() },
        Fault::Unfit => TokenFileError::Unfit { path: path_buf() },
    })
}

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Empty,
    Unfit,
}

/// The token in `text`, without the white space around it.
pub(super) fn token(text: &str) -> Result<SecretString, Fault> {
    let text = text.trim();
    if text.is_empty() {
        Err(Fault::Empty)
    } else if is_header_word(text) {
        Ok(SecretString::from(text))
    } else {
        Err(Fault::Unfit)
    }
}

/// What a token looks like that was not meant to be one; such a token is used all the same.
pub(super) fn resembles(token: &SecretString) -> Option<&'static str> {
    let token = token.expose_secret();
    let is_quote = |c: char| matches!(c, '"' | '\'' | '`');
    if token.contains("${") {
        Some("a placeholder")
    } else if token.starts_with(['{', '[']) {
        Some("JSON")
    } else if token.starts_with(is_quote) || token.ends_with(is_quote) {
        Some("a text in quotes")
    } else {
        is_assignment(token).then_some("KEY=value")
    }
}

/// `KEY=value`; the `=` at the end of base64 are none.
fn is_assignment(text: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split_once('=').is_some_and(|(key, value)| {
        key.starts_with(|c: char| !c.is_ascii_digit())
            && key.chars().all(is_letter)
            && !value.trim_start_matches('=').is_empty()
    })
}

/// Can `text` be the value of a header, without quoting and without spaces?
pub(super) fn is_header_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn every_error_names_the_file_and_none_shows_what_it_holds() {
        let missing = Path::new("/nowhere/at/all");
        let missing = read_token_file(missing).unwrap_err();
        assert!(matches!(missing, TokenFileError::Unreadable { .. }));
        assert!(missing.to_string().contains("/nowhere/at/all"), "{missing}");

        let empty = file(b" \n");
        assert!(matches!(
            read_token_file(empty.path()).unwrap_err(),
            TokenFileError::Empty { .. }
        ));

        let long = vec![b'x'; 20_000];
        for retained in [
            &b"s3cret\ntoken"[..],
            b"s3cret\x00",
            "s3cret\u{e9}".as_bytes(),
            b"s3cret\xff",
            &long,
        ] {
            let unfit = file(retained);
            let error = read_token_file(unfit.path()).unwrap_err();
            assert!(matches!(error, TokenFileError::Unfit { .. }), "{error}");
            let said = format!("{error} {error:?}");
            assert!(said.contains(&unfit.path().display().to_string()), "{said}");
            assert!(!said.contains("s3cret"), "{said}");
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
            assert!(matches!(error, TokenFileError::NotAFile { .. }), "{error}");
            assert_eq!(
                error.to_string(),
                format!("token file {} is not a regular file", path.display())
            );
        }
    }

    #[test]
    fn links_to_a_file_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("..2024")).unwrap();
        std::fs::write(at("..2024").join("token"), "s3cret").unwrap();
        // As Kubernetes mounts a secret: a link to a file below a linked folder.
        std::os::unix::fs::symlink("..2024", at("..data")).unwrap();
        std::os::unix::fs::symlink("..data/token", at("token")).unwrap();
        let token = read_token_file(&at("token")).unwrap();
        assert_eq!(token.expose_secret(), "s3cret");
    }
}
