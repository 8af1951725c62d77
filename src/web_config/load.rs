//! Reads a web configuration and the files that it names. Every function blocks the thread.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ring::digest::{self, SHA256, SHA256_OUTPUT_LEN};

use super::{
    document::{Error, TlsSection, Warnings, parse, shown_file, text},
    passwords::PasswordChecks,
    settings::Settings,
    tls::{Pem, Pems},
};
use crate::clock::{Clock, UnixMillis};

/// The maximum size of each file, in bytes. The largest one has a list of certificate authorities.
const MAX_BYTES: u64 = 16 << 20;
/// A file that is younger than this can change again without a change of its metadata.
const YOUNG: Duration = Duration::from_secs(2);

/// The settings of the files, and what is necessary to find a change of the files.
pub(super) struct Loaded {
    pub(super) settings: Settings,
    pub(super) warnings: Vec<String>,
    /// The digest of the contents of all files.
    pub(super) digest: [u8; SHA256_OUTPUT_LEN],
    /// True if the web configuration file holds no key.
    pub(super) is_blank: bool,
    pub(super) stamps: Stamps,
}

/// The metadata of the files before the read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Stamps(Vec<(PathBuf, Stamp)>);

/// Device, inode, size, and the times of the last change of content and of metadata, in nanoseconds.
type Stamp = (u64, u64, u64, i64, i64);

impl Stamps {
    /// True if no file has changed since. False if a file is so young that its metadata proves nothing.
    pub(super) fn are_current(&self) -> bool {
        let now = Clock::system().now();
        let is_current = |(path, stamp): &(PathBuf, Stamp)| {
            let changed = UnixMillis(stamp.3.max(stamp.4) / 1_000_000);
            let is_old = now.since(changed) >= YOUNG;
            is_old && fs::metadata(path).is_ok_and(|now| stamp_of(&now) == *stamp)
        };
        !self.0.is_empty() && self.0.iter().all(is_current)
    }
}

fn stamp_of(metadata: &fs::Metadata) -> Stamp {
    let nanoseconds = |seconds: i64, rest| seconds.saturating_mul(1_000_000_000) + rest;
    (
        metadata.dev(),
        metadata.ino(),
        metadata.size(),
        nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
    )
}

/// Reads and validates the web configuration `file` and all files that it names.
///
/// # Errors
/// A file cannot be read or holds more than 16 MiB, or a value is invalid.
pub(super) fn load(file: &Path, checks: Arc<PasswordChecks>) -> Result<Loaded, Error> {
    let mut reader = Reader {
        stamps: Stamps::default(),
        digest: digest::Context::new(&SHA256),
    };
    let bytes = reader
        .read(file)
        .map_err(|error| Error::new(file, "", format!("cannot be read: {error}")))?;
    let content = str::from_utf8(&bytes).map_err(|_| Error::new(file, "", "is not UTF-8 text"))?;
    let document = parse(file, content)?;
    let mut warnings = Warnings::default();
    let pems = match &document.tls_server_config {
        None => Pems::default(),
        Some(section) => reader.pems(file, section, &mut warnings)?,
    };
    let settings = Settings::new(file, &document, &pems, checks, &mut warnings)?;
    let mut digest = [0; SHA256_OUTPUT_LEN];
    digest.copy_from_slice(reader.digest.finish().as_ref());
    let is_blank = document.tls_server_config.is_none()
        && document.http_server_config.is_none()
        && document.basic_auth_users.is_none()
        && document.rate_limit.is_none();
    if is_blank {
        warnings.add(
            file,
            "",
            "is empty, so the server uses no TLS and asks for no password",
        );
    }
    Ok(Loaded {
        settings,
        warnings: warnings.0,
        digest,
        is_blank,
        stamps: reader.stamps,
    })
}

/// Reads files, and records their metadata and contents.
struct Reader {
    stamps: Stamps,
    digest: digest::Context,
}

impl Reader {
    /// Reads a regular file. Refuses a pipe or a device, because opening or reading it may never end.
    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let metadata = fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        self.stamps.0.push((path.to_owned(), stamp_of(&metadata)));
        let mut bytes = Vec::new();
        File::open(path)?
            .take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(io::Error::other("it is larger than 16 MiB"));
        }
        self.digest.update(&(bytes.len() as u64).to_be_bytes());
        self.digest.update(&bytes);
        Ok(bytes)
    }

    /// The certificates and keys of the section. A relative path starts from the folder of `file`.
    fn pems(
        &mut self,
        file: &Path,
        section: &TlsSection,
        warnings: &mut Warnings,
    ) -> Result<Pems, Error> {
        let mut pem = |key: &str, inline: &Option<String>, path: &Option<String>| {
            let key = format!("tls_server_config.{key}");
            let inline = text(inline.as_ref());
            let Some(written) = text(path.as_ref()) else {
                return Ok(inline.map(|inline| Pem {
                    key,
                    file: file.to_owned(),
                    bytes: inline.as_bytes().to_vec(),
                }));
            };
            if inline.is_some() {
                warnings.add(file, &key, format!("is ignored, because {key}_file is set"));
            }
            let key = format!("{key}_file");
            let path = file.parent().unwrap_or(Path::new("")).join(written);
            let bytes = self.read(&path).map_err(|error| {
                let shown = shown_file(written, &path);
                Error::new(file, &key, format!("{shown} cannot be read: {error}"))
            })?;
            Ok(Some(Pem {
                key,
                file: path,
                bytes,
            }))
        };
        Ok(Pems {
            cert: pem("cert", &section.cert, &section.cert_file)?,
            key: pem("key", &section.key, &section.key_file)?,
            client_ca: pem("client_ca", &section.client_ca, &section.client_ca_file)?,
        })
    }
}
