//! Tokens: read, trimmed, checked, and never shown.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use secrecy::SecretString;

/// A token is a header value; a file larger than this is something else.
const MOST_BYTES: u64 = 16 * 1024;

/// Why a token file gave no token. Names the file, never what it holds.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It is missing, not ours to read, not a file.
    #[error("token file {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
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
/// Blocking, and short: at most 16 KiB are read.
pub fn read_token_file(path: &Path) -> Result<SecretString, TokenFileError> {
    let path_buf = || path.to_owned();
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|source| TokenFileError::Unreadable {
            path: path_buf(),
            source,
        })?;
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

/// Can `text` be the value of a header, without quoting and without spaces?
pub(super) fn is_header_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

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
        for held in [
            &b"s3cret\ntoken"[..],
            b"s3cret\x00",
            "s3cret\u{e9}".as_bytes(),
            b"s3cret\xff",
            &long,
        ] {
            let unfit = file(held);
            let error = read_token_file(unfit.path()).unwrap_err();
            assert!(matches!(error, TokenFileError::Unfit { .. }), "{error}");
            let said = format!("{error} {error:?}");
            assert!(said.contains(&unfit.path().display().to_string()), "{said}");
            assert!(!said.contains("s3cret"), "{said}");
        }
    }

    #[test]
    fn a_folder_is_no_token_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = read_token_file(folder.path()).unwrap_err();
        assert!(
            matches!(error, TokenFileError::Unreadable { .. }),
            "{error}"
        );
    }
}
