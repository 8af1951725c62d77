//! The fuzz target `web_config`: the text of a web configuration.

use std::{fs, sync::LazyLock};

use tempfile::TempDir;

use super::secrets::Secret;
use crate::web_config::WebConfig;

/// The longest error. It has names of at most 40 bytes, and the name of one file.
const LONGEST_ERROR: usize = 4096;

/// A folder with the files that the text can name, and the secrets for the text.
struct Folder {
    path: TempDir,
    certificate: String,
    secrets: [Secret; 3],
}

static FOLDER: LazyLock<Folder> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("the system has a folder for temporary files");
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let pair = pair.expect("the name is valid");
    let (certificate, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    let files = [
        ("server.crt", &certificate),
        ("ca.crt", &certificate),
        ("server.key", &key),
    ];
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("the folder is writable");
    }
    let secret = |placeholder, text| Secret { placeholder, text };
    Folder {
        path: folder,
        certificate: certificate.replace('\n', "\\n"),
        secrets: [
            secret("@server.key@", key.replace('\n', "\\n")),
            secret("@key in lines@", key.trim_end().replace('\n', "\n    ")),
            // A hash with dots, because paths of keys have dots, too.
            secret(
                "@hash@",
                "$2b$04$5DLmDHMqq5btZTombji5DO.WhEC38.jhUjtmOZj.cIy7OwzkMaJ0.".to_owned(),
            ),
        ],
    }
});

/// Loads the bytes as a web configuration, twice.
pub fn check_web_config(bytes: &[u8]) {
    let input = String::from_utf8_lossy(bytes);
    let mut text = input.replace("@server.crt@", &FOLDER.certificate);
    text = text.replace("@ca.crt@", &FOLDER.certificate);
    for secret in &FOLDER.secrets {
        text = secret.insert(&text);
    }
    let file = FOLDER.path.path().join("web.yml");
    fs::write(&file, text).expect("the folder is writable");
    let load = || {
        WebConfig::load(&file).map(|(config, warnings)| {
            config.allows_request();
            (format!("{config:?} {:?}", config.current()), warnings)
        })
    };
    let loaded = load();
    if bytes.len().is_multiple_of(8) {
        assert_eq!(loaded, load(), "the same file loads the same");
    }
    let messages = match &loaded {
        // Clients see the headers, so a secret in the place of a header is not hidden.
        Ok((_, warnings)) if input.contains("headers") => warnings.clone(),
        Ok((shown, warnings)) => [std::slice::from_ref(shown), &warnings[..]].concat(),
        Err(error) => {
            let text = error.to_string();
            assert!(text.len() <= LONGEST_ERROR, "a long error: {text}");
            vec![text, format!("{error:?}")]
        }
    };
    for message in messages {
        assert!(!message.contains(char::is_control), "{message:?}");
        for secret in &FOLDER.secrets {
            secret.check_hidden(&input, &message);
        }
    }
}
