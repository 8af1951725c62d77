//! The values of one row: every shape they have been seen in, and what could not be kept.

use super::{
    json::{Json, pick},
    moment::{Moment, moment},
    reference,
};
use crate::{
    api::{Application, Field, Fields},
    clock::UnixMillis,
};

/// The longest text that is kept, in bytes; the rest is cut off.
const MAX_TEXT: usize = 256;

/// Reads values and remembers what had to be dropped or assumed. Absent and null are neither.
#[derive(Default)]
pub(super) struct Reader {
    /// Present, but dropped or cut.
    pub(super) rejected: Fields,
    /// Read under an assumption.
    pub(super) assumed: Fields,
}

impl Reader {
    /// Free text; a number is read as its digits.
    pub(super) fn text(
        &mut self,
        field: Field,
        raw: Option<&str>,
    ) -> Result<Option<String>, Undecodable> {
        Ok(match raw.map(Json::read).transpose()? {
            None | Some(Json::Null) => None,
            Some(Json::Text(text)) => self.cut(field, &text),
            Some(Json::Number(number)) => self.cut(field, number),
            Some(_) => self.reject(field),
        })
    }

    /// True or false in any spelling that has been seen; another word is dropped.
    pub(super) fn flag(
        &mut self,
        field: Field,
        raw: Option<&str>,
    ) -> Result<Option<bool>, Undecodable> {
        let value = raw.map(Json::read).transpose()?;
        let word = match &value {
            None | Some(Json::Null) => return Ok(None),
            Some(Json::Bool(flag)) => return Ok(Some(*flag)),
            Some(Json::Number(number)) => number,
            Some(Json::Text(text)) => text.trim(),
            Some(Json::Object(_) | Json::Array) => return Ok(self.reject(field)),
        };
        Ok(match word {
            "" => None,
            "1" => Some(true),
            "0" => Some(false),
            word if word.eq_ignore_ascii_case("true") => Some(true),
            word if word.eq_ignore_ascii_case("false") => Some(false),
            _ => self.reject(field),
        })
    }

    /// A point in time as text; a number is dropped, since nobody says what it counts from.
    pub(super) fn time(
        &mut self,
        field: Field,
        raw: Option<&str>,
    ) -> Result<Option<UnixMillis>, Undecodable> {
        let text = match raw.map(Json::read).transpose()? {
            None | Some(Json::Null) => return Ok(None),
            Some(Json::Text(text)) if text.is_empty() => return Ok(None),
            Some(Json::Text(text)) => text,
            Some(_) => return Ok(self.reject(field)),
        };
        Ok(match moment(&text) {
            Some(Moment::Exact(at)) => Some(at),
            Some(Moment::Assumed(at)) => {
                self.assumed.insert(field);
                Some(at)
            }
            None => self.reject(field),
        })
    }

    /// An application in any of its forms.
    pub(super) fn application(
        &mut self,
        raw: Option<&str>,
    ) -> Result<Option<Application>, Undecodable> {
        let field = Field::Application;
        let [app_id, app_name] = nested(raw, &["app_id", "app_name"])?;
        let is_object = raw.is_some_and(|raw| raw.starts_with('{'));
        let id = self.reference(field, if is_object { app_id } else { raw }, "Application")?;
        Ok(match id {
            // An object without a usable id is an application nevertheless.
            None if is_object => Some(Application {
                id: String::new(),
                name: self.text(field, app_name)?,
            }),
            None => None,
            Some(id) => Some(Application {
                id,
                name: self.text(field, app_name)?,
            }),
        })
    }

    /// The auth id of a sub-account: bare, at the end of a URI, or in an object.
    pub(super) fn sub_account(&mut self, raw: Option<&str>) -> Result<Option<String>, Undecodable> {
        let field = Field::SubAccount;
        if raw.is_some_and(|raw| raw.starts_with('{')) {
            let [auth_id] = nested(raw, &["auth_id"])?;
            return match self.reference(field, auth_id, "Subaccount")? {
                None => Ok(self.reject(field)),
                known => Ok(known),
            };
        }
        self.reference(field, raw, "Subaccount")
    }

    fn reference(
        &mut self,
        field: Field,
        raw: Option<&str>,
        collection: &str,
    ) -> Result<Option<String>, Undecodable> {
        let Some(value) = raw.map(Json::read).transpose()? else {
            return Ok(None);
        };
        Ok(match reference::id(&value, collection) {
            Ok(id) => id.and_then(|id| self.cut(field, &id)),
            Err(reference::NotAReference) => self.reject(field),
        })
    }

    /// The text as it is kept: at most [`MAX_TEXT`] bytes, and `None` for none at all.
    fn cut(&mut self, field: Field, text: &str) -> Option<String> {
        let mut end = text.len();
        if end > MAX_TEXT {
            self.rejected.insert(field);
            end = MAX_TEXT;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
        }
        (end > 0).then(|| text[..end].to_owned())
    }

    fn reject<T>(&mut self, field: Field) -> Option<T> {
        self.rejected.insert(field);
        None
    }
}

/// The keys of an object inside a row; none of them where there is no object.
pub(super) fn nested<'a, const N: usize>(
    raw: Option<&'a str>,
    keys: &[&str; N],
) -> Result<[Option<&'a str>; N], Undecodable> {
    match raw {
        Some(object) if object.starts_with('{') => Ok(pick(object, keys)?),
        _ => Ok([None; N]),
    }
}

/// A row that cannot be decoded any further.
pub(super) struct Undecodable;

impl From<serde_json::Error> for Undecodable {
    fn from(_: serde_json::Error) -> Self {
        Self
    }
}
