//! The style and the script of the pages, and the policy that allows nothing else.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// The content security policy of every page: only the style and the script of this server, and requests to it.
pub const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
    img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// A file that pages load.
#[derive(Debug)]
pub struct Asset {
    /// Its name in the folder `static`.
    pub name: &'static str,
    /// The value of the header `Content-Type`.
    pub content_type: &'static str,
    /// Its content.
    pub text: &'static str,
}

/// The style of all pages.
pub(super) static STYLE: Asset = Asset {
    name: "pages.css",
    content_type: "text/css; charset=utf-8",
    text: include_str!("../../templates/pages.css"),
};

/// The script of all pages. The pages work without it.
pub(super) static SCRIPT: Asset = Asset {
    name: "pages.js",
    content_type: "text/javascript; charset=utf-8",
    text: include_str!("../../templates/pages.js"),
};

/// The icon of all pages.
static ICON: Asset = Asset {
    name: "icon.svg",
    content_type: "image/svg+xml",
    text: include_str!("../../templates/icon.svg"),
};

/// The file with this name in the folder `static`.
pub fn asset(name: &str) -> Option<&'static Asset> {
    [&STYLE, &SCRIPT, &ICON]
        .into_iter()
        .find(|asset| asset.name == name)
}

impl Asset {
    /// A text that differs between versions of the exporter, so that a browser loads the newest content.
    pub(super) fn version(&self) -> String {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(self.text);
        format!("{}-{hash:x}", env!("CARGO_PKG_VERSION"))
    }
}
