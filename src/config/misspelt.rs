//! Variables whose names are nearly ours: ignored in silence, a setting would not be in force.

use super::{
    environment::{AUTH_ID, AUTH_TOKEN, AUTH_TOKEN_FILE, PREFIX},
    mistake::{Report, distance, shown_variable},
    schema::{ROOT, Shape},
};

/// Stands for the number of an item in a list, or for the id of an application.
const NUMBER: &str = "#";

/// Warns of variables that are not ours but nearly, with the name that was probably meant.
pub(super) fn warn(variables: &[(String, String)], report: &mut Report) {
    let mut known: Vec<_> = [AUTH_ID, AUTH_TOKEN, AUTH_TOKEN_FILE]
        .map(String::from)
        .into();
    collect(&ROOT, PREFIX.trim_end_matches('_'), &mut known);
    for (name, _) in variables {
        let is_ours = name.starts_with(PREFIX) || known.contains(name);
        if let Some(meant) = likely(name, &known).filter(|_| !is_ours) {
            report.warnings.push(format!(
                "environment variable {} is ignored; did you mean {meant}?",
                shown_variable(name)
            ));
        }
    }
}

/// The names of the variables that set something at `shape` or below, with [`NUMBER`] for numbers.
fn collect(shape: &Shape, name: &str, names: &mut Vec<String>) {
    match shape {
        Shape::Scalar | Shape::Nullable | Shape::Words => names.push(name.to_owned()),
        Shape::Table(keys) => {
            for key in *keys {
                collect(
                    &key.1,
                    &format!("{name}__{}", key.0.to_ascii_uppercase()),
                    names,
                );
            }
        }
        Shape::List(item) => collect(item, &format!("{name}__{NUMBER}"), names),
        Shape::Names => names.push(format!("{name}__{NUMBER}")),
        Shape::Filter(_) | Shape::Elsewhere(_) => {}
    }
}

/// The known name that is nearest to `name`, if it is near, with the numbers of `name`.
fn likely(name: &str, known: &[String]) -> Option<String> {
    let wanted = essence(name)?;
    let (_, nearest) = known
        .iter()
        .filter_map(|known| {
            let essence = essence(known)?;
            let distance = distance(&wanted, &essence);
            (distance <= 1 + essence.len() / 6).then_some((distance, known))
        })
        .min()?;
    let numbers = name.split(|c: char| !c.is_ascii_digit());
    let numbers = numbers.filter(|number| !number.is_empty());
    Some(numbers.fold(nearest.clone(), |name, number| {
        name.replacen(NUMBER, number, 1)
    }))
}

/// What a name says beyond its prefix, without what people get wrong: case, underscores, and whether
/// the prefix has a second word. `None` for names of others.
fn essence(name: &str) -> Option<String> {
    let mut essence = String::new();
    for letter in name.chars() {
        if letter.is_ascii_digit() {
            if !essence.ends_with(NUMBER) {
                essence.push_str(NUMBER);
            }
        } else if letter.is_ascii_alphabetic() || NUMBER.contains(letter) {
            essence.push(letter.to_ascii_uppercase());
        }
    }
    let rest = essence.strip_prefix("VOBIZ")?;
    Some(rest.strip_prefix("EXPORTER").unwrap_or(rest).to_owned())
}
