//! Where to listen, as people write it.

use std::{fmt, str::FromStr};

/// An address to listen on. Shown as it is written: `:10059`, `localhost:10059`, `[::1]:10059`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// `:PORT`: every address of this host, IPv6 and IPv4.
    Everywhere(u16),
    /// `HOST:PORT`: an IP address (IPv6 without its brackets) or a name.
    Host(String, u16),
}

const FORMS: &str = "write :PORT, HOST:PORT or [IPv6]:PORT, such as :10059 or 127.0.0.1:10059";

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| format!("has no port; {FORMS}"))?;
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| is_number);
        let port = port.ok_or_else(|| format!("its port is not a number up to 65535; {FORMS}"))?;
        if host.is_empty() {
            return Ok(Self::Everywhere(port));
        }
        let bracketed = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let host = match bracketed {
            Some(address) => {
                let address: std::net::Ipv6Addr = address
                    .parse()
                    .map_err(|_| format!("holds no IPv6 address; {FORMS}"))?;
                return Ok(Self::Host(address.to_string(), port));
            }
            None if host.contains(':') => {
                return Err(format!("needs brackets around an IPv6 address; {FORMS}"));
            }
            None => host,
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if host.chars().all(is_name) {
            Ok(Self::Host(host.to_owned(), port))
        } else {
            Err(format!(
                "its host is neither an address nor a name; {FORMS}"
            ))
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everywhere(port) => write!(f, ":{port}"),
            Self::Host(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Host(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_address_is_read_and_shown_again() {
        for text in [
            ":10059",
            "0.0.0.0:80",
            "localhost:0",
            "[::1]:65535",
            "my-host.test:9",
        ] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        assert_eq!(":9".parse(), Ok(ListenAddress::Everywhere(9)));
        assert_eq!(
            "[::1]:9".parse(),
            Ok(ListenAddress::Host("::1".to_owned(), 9))
        );
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_forms_there_are() {
        for text in [
            "10059",
            "",
            ":",
            ":65536",
            ":+80",
            "::1:80",
            "[::1]",
            "[x]:80",
            "a b:80",
            "http://a:80",
        ] {
            let said = text.parse::<ListenAddress>().expect_err(text);
            assert!(said.contains(":PORT"), "{text}: {said}");
        }
    }
}
