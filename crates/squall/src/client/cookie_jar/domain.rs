//! Which host a cookie's domain is for (RFC 6265bis section 5.1.3).

use url::{Host, Url};

/// The host of an address, as cookies compare it.
pub(super) fn host_of(url: &Url) -> Option<String> {
    let host = url.host_str()?.to_ascii_lowercase();
    Some(host.strip_suffix('.').map_or(host.clone(), str::to_owned))
}

/// Whether a cookie for `domain` and its subdomains is for `host`.
pub(super) fn matches(host: &str, domain: &str) -> bool {
    if host == domain {
        return true;
    }
    let below = host.strip_suffix(domain);
    below.is_some_and(|below| below.ends_with('.')) && !is_address(host)
}

/// Whether others than the owner of `domain` have hosts in it: `com`, `co.uk`.
pub(super) fn is_public(domain: &str) -> bool {
    psl::suffix_str(domain).is_none_or(|suffix| suffix.len() == domain.len())
}

fn is_address(host: &str) -> bool {
    !matches!(Host::parse(host), Ok(Host::Domain(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_end_at_a_dot() {
        assert!(matches("a.test", "a.test"));
        assert!(matches("x.y.a.test", "a.test"));
        for (host, domain) in [
            ("evila.test", "a.test"),
            ("a.test", "x.a.test"),
            ("10.0.0.1", "0.0.1"),
            ("[::1]", ":1]"),
        ] {
            assert!(!matches(host, domain), "{host} {domain}");
        }
    }

    #[test]
    fn public_suffixes() {
        for domain in ["com", "co.uk", "github.io", "test", "localhost"] {
            assert!(is_public(domain), "{domain}");
        }
        for domain in ["example.com", "x.co.uk", "me.github.io", "a.test"] {
            assert!(!is_public(domain), "{domain}");
        }
    }
}
