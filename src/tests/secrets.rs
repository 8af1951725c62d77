//! Secrets in the inputs of the fuzz targets. An input has a placeholder for each secret, so it has no part of a secret.

/// The length of a part of a secret that no message may show, in bytes.
const PART: usize = 12;

/// A text that messages must not show, and its placeholder in inputs.
pub struct Secret {
    pub placeholder: &'static str,
    pub text: String,
}

impl Secret {
    /// Replaces the placeholder in the input.
    pub fn insert(&self, input: &str) -> String {
        input.replace(self.placeholder, &self.text)
    }

    /// Checks that `shown` has no part of the secret. The name of a file may be shown if it begins or ends with the
    /// placeholder, because a secret has no folder and no extension.
    pub fn check_hidden(&self, input: &str, shown: &str) {
        let is_alone = input.match_indices(self.placeholder).all(|(start, found)| {
            let before = input[..start].chars().next_back();
            let after = input[start + found.len()..].chars().next();
            let is_separator = |c: char| c.is_ascii_whitespace() || "\"',:=[]{}|>".contains(c);
            before.is_none_or(is_separator) && after.is_none_or(is_separator)
        });
        let lines = self.text.split(|c: char| c.is_whitespace() || c == '\\');
        let lines = lines.filter(|line| !line.contains("-----"));
        let parts = lines.flat_map(|line| line.as_bytes().windows(PART));
        let mut parts = parts.filter_map(|part| str::from_utf8(part).ok());
        // libFuzzer sees compared texts, and inserts parts of secrets into inputs.
        let is_shown = parts.any(|part| shown.contains(part) && !input.contains(part));
        assert!(!is_alone || !is_shown, "a message shows a secret: {shown}");
    }
}
