//! A database chosen at run time, by a URL.

use std::path::PathBuf;

use crate::database::Database;
use crate::engine::{Filling, Purpose};
use crate::error::{Result, TitoError};

impl Database {
    /// Opens the database that a URL names, so that a program's settings can choose its engine:
    ///
    /// | URL | database |
    /// |---|---|
    /// | `file:data`, `file:/var/lib/app`, `file:///var/lib/app`, or just the path | the embedded engine in this directory |
    /// | `memory:` | the embedded engine in memory, empty |
    /// | `tikv://pd1:2379,pd2:2379` | the TiKV cluster of these PD servers; needs the feature `tikv` |
    /// | `tikv://pd1:2379/app/` | its keys that begin with `app/` |
    ///
    /// After a `?`, with `&` between them, a cluster's URL can say `keyspace=NAME`, `concurrency=pessimistic` (or
    /// `optimistic`), and for TLS the files `ca=…`, `cert=…` and `key=…`, all three. For all other settings, use an
    /// engine's builder. The path of a URL, and the values of its query, are percent-decoded; a path without a scheme
    /// is taken as it is.
    ///
    /// ```
    /// use tito_core::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), TitoError> {
    /// let db = Database::open("memory:").await?;
    /// db.transaction(|tx| async move { tx.put(b"greeting".to_vec(), b"hello".to_vec()).await }).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TitoError::InvalidUrl`], and those of [`EmbeddedBackend::open`](crate::embedded::EmbeddedBackend::open) and
    /// `TiKVBackend::connect`.
    pub async fn open(url: impl AsRef<str>) -> Result<Self> {
        open_for(url.as_ref(), Purpose::Use).await
    }

    /// Like [`open`](Database::open), but the database must exist: nothing is created. For tools, where a mistyped path
    /// or prefix should not create an empty database.
    ///
    /// # Errors
    /// The same, and [`TitoError::NoDatabase`].
    pub async fn open_existing(url: impl AsRef<str>) -> Result<Self> {
        open_for(url.as_ref(), Purpose::Look).await
    }

    /// Like [`open_existing`](Database::open_existing), but only for reading: nothing of it is changed, and writes fail
    /// with [`TitoError::ReadOnly`]. A directory stays as it is, byte for byte; several processes can read it at once,
    /// and an application that opens it meanwhile waits some seconds for them.
    ///
    /// # Errors
    /// The same.
    pub async fn open_read_only(url: impl AsRef<str>) -> Result<Self> {
        Ok(open_for(url.as_ref(), Purpose::Read).await?.read_only())
    }

    /// The directory that a URL for [`open`](Database::open) names, if it names one: for tools that look there for more
    /// than the database. Nothing is opened.
    ///
    /// # Errors
    /// [`TitoError::InvalidUrl`].
    pub fn directory_of(url: impl AsRef<str>) -> Result<Option<PathBuf>> {
        let url = url.as_ref();
        match Target::parse(url).map_err(|reason| invalid(url, reason))? {
            Target::Directory(path) => Ok(Some(path)),
            Target::Memory | Target::Cluster(_) => Ok(None),
        }
    }

    /// Opens a database that is being filled from elsewhere: at the URL there is nothing, or what has been filled in so
    /// far. Everybody else is refused until it is complete.
    ///
    /// # Errors
    /// Those of [`open`](Database::open), and [`TitoError::InvalidTarget`].
    pub async fn open_to_fill(url: impl AsRef<str>, filling: &Filling) -> Result<Self> {
        open_for(url.as_ref(), Purpose::Fill(filling.clone())).await
    }
}

async fn open_for(url: &str, purpose: Purpose) -> Result<Database> {
    let target = Target::parse(url).map_err(|reason| invalid(url, reason))?;
    match (target, purpose) {
        (Target::Memory, Purpose::Use) => memory(url).await,
        (Target::Memory, _) => Err(invalid(url, "a database in memory is empty, and gone when it is closed")),
        (Target::Directory(path), purpose) => directory(url, path, purpose).await,
        (Target::Cluster(cluster), purpose) => connect(url, cluster, purpose).await,
    }
}

fn invalid(url: &str, reason: impl Into<String>) -> TitoError {
    // What stands before an `@`, of a URL that was meant for something else, is not for logs.
    let shown = match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        _ => url.to_string(),
    };
    TitoError::InvalidUrl { url: shown, reason: reason.into() }
}

#[cfg(feature = "embedded")]
async fn memory(_url: &str) -> Result<Database> {
    crate::embedded::EmbeddedBackend::in_memory().await
}

#[cfg(feature = "embedded")]
async fn directory(_url: &str, path: PathBuf, purpose: Purpose) -> Result<Database> {
    crate::embedded::EmbeddedBackend::builder().start(path, purpose).await
}

#[cfg(not(feature = "embedded"))]
async fn memory(url: &str) -> Result<Database> {
    Err(invalid(url, "this program was built without the feature `embedded` of tito-core"))
}

#[cfg(not(feature = "embedded"))]
async fn directory(url: &str, _path: PathBuf, _purpose: Purpose) -> Result<Database> {
    memory(url).await
}

#[cfg(feature = "tikv")]
async fn connect(_url: &str, cluster: Cluster, purpose: Purpose) -> Result<Database> {
    use crate::tikv::{Concurrency, TiKVBackend};

    let Cluster { addresses, prefix, keyspace, is_pessimistic, tls } = cluster;
    let mut builder = TiKVBackend::builder(addresses).key_prefix(prefix);
    if let Some(keyspace) = keyspace {
        builder = builder.keyspace(keyspace);
    }
    if is_pessimistic {
        builder = builder.concurrency(Concurrency::Pessimistic);
    }
    if let Some([ca, certificate, key]) = tls {
        builder = builder.tls(ca, certificate, key);
    }
    builder.start(purpose).await
}

#[cfg(not(feature = "tikv"))]
async fn connect(url: &str, _cluster: Cluster, _purpose: Purpose) -> Result<Database> {
    Err(invalid(url, "this program was built without the feature `tikv` of tito-core"))
}

/// What a URL names.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    Memory,
    Directory(PathBuf),
    Cluster(Cluster),
}

#[derive(Debug, Default, PartialEq, Eq)]
#[cfg_attr(not(feature = "tikv"), allow(dead_code, reason = "read by the engine of that feature"))]
struct Cluster {
    addresses: Vec<String>,
    prefix: Vec<u8>,
    keyspace: Option<String>,
    is_pessimistic: bool,
    tls: Option<[PathBuf; 3]>,
}

impl Target {
    /// The target, or why the URL names none.
    fn parse(url: &str) -> Result<Self, String> {
        match scheme_of(url) {
            None if url.is_empty() => Err("it is empty".to_string()),
            None => Ok(Self::Directory(PathBuf::from(url))),
            Some(("memory", "")) => Ok(Self::Memory),
            Some(("memory", _)) => Err("expected nothing after `memory:`".to_string()),
            Some(("file", rest)) => directory_of(rest),
            Some(("tikv", rest)) => cluster_of(rest).map(Self::Cluster),
            Some((scheme, _)) => Err(format!(
                "the scheme {scheme:?} is none of `file`, `memory` and `tikv`; a path with a colon in it goes after `file:`"
            )),
        }
    }
}

/// The scheme and what comes after it. A single letter before a colon is a drive.
fn scheme_of(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once(':')?;
    let is_scheme = scheme.len() > 1
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|character| character.is_ascii_alphanumeric() || "+-.".contains(character));
    is_scheme.then_some((scheme, rest))
}

fn directory_of(rest: &str) -> Result<Target, String> {
    if rest.contains(['?', '#']) {
        return Err("a directory has no settings after `?` or `#`; in a name they are %3F and %23".to_string());
    }
    let path = match rest.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        Some(path) if path.starts_with("localhost/") => &path["localhost".len()..],
        Some(host) => {
            return Err(format!("a directory is on this machine, expected `file:///{host}` or `file:{host}`"));
        }
        None => rest,
    };
    if path.is_empty() {
        return Err("expected a path after `file:`".to_string());
    }
    let path = String::from_utf8(decode(path)?).map_err(|_| "the path is not UTF-8".to_string())?;
    Ok(Target::Directory(PathBuf::from(path)))
}

fn cluster_of(rest: &str) -> Result<Cluster, String> {
    let rest = rest.strip_prefix("//").ok_or("expected `tikv://`, and addresses of PD")?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (addresses, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if addresses.contains('@') {
        return Err("PD knows no users, and TLS goes by files".to_string());
    }
    let addresses: Vec<String> = addresses.split(',').map(str::to_string).collect();
    if addresses.iter().any(String::is_empty) {
        return Err("expected addresses of PD, `host:port` each, with commas between them".to_string());
    }
    let mut cluster = Cluster { addresses, prefix: decode(prefix)?, ..Cluster::default() };
    let (mut ca, mut certificate, mut key) = (None, None, None);
    for setting in query.split('&').filter(|setting| !setting.is_empty()) {
        let (name, value) = setting.split_once('=').ok_or(format!("expected `=` and a value in {setting:?}"))?;
        let value = String::from_utf8(decode(value)?).map_err(|_| format!("the value of {name:?} is not UTF-8"))?;
        let is_repeated = match name {
            "keyspace" => cluster.keyspace.replace(value).is_some(),
            "concurrency" => match value.as_str() {
                "pessimistic" => std::mem::replace(&mut cluster.is_pessimistic, true),
                "optimistic" => cluster.is_pessimistic,
                _ => return Err(format!("concurrency is `optimistic` or `pessimistic`, not {value:?}")),
            },
            "ca" => ca.replace(PathBuf::from(value)).is_some(),
            "cert" => certificate.replace(PathBuf::from(value)).is_some(),
            "key" => key.replace(PathBuf::from(value)).is_some(),
            _ => {
                let known = "`keyspace`, `concurrency`, `ca`, `cert` and `key`";
                return Err(format!("there is no setting {name:?}, only {known}"));
            }
        };
        if is_repeated {
            return Err(format!("{name:?} is set twice"));
        }
    }
    cluster.tls = match (ca, certificate, key) {
        (None, None, None) => None,
        (Some(ca), Some(certificate), Some(key)) => Some([ca, certificate, key]),
        _ => return Err("TLS needs `ca`, `cert` and `key`".to_string()),
    };
    Ok(cluster)
}

/// Bytes of a part of a URL.
fn decode(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = rest.split_at_checked(2).and_then(|(digits, after)| {
            rest = after;
            let digit = |digit: u8| char::from(digit).to_digit(16);
            Some((digit(digits[0])? * 16 + digit(digits[1])?) as u8)
        });
        bytes.push(digits.ok_or(format!("expected two hexadecimal digits after each `%` of {text:?}"))?);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn paths_and_urls_of_directories_name_them() {
        for (url, path) in [
            ("data", "data"),
            ("./a:b", "./a:b"),
            ("/var/lib/100%", "/var/lib/100%"),
            ("C:\\data", "C:\\data"),
            ("file:data", "data"),
            ("file:/var/lib/app", "/var/lib/app"),
            ("file:///var/lib/my%20app", "/var/lib/my app"),
            ("file:a:b", "a:b"),
            ("file://localhost/data", "/data"),
        ] {
            assert_eq!(Target::parse(url), Ok(Target::Directory(PathBuf::from(path))), "{url}");
        }
        assert_eq!(Target::parse("memory:"), Ok(Target::Memory));
        assert_eq!(Database::directory_of("file:a%20b").unwrap(), Some(PathBuf::from("a b")));
        assert_eq!(Database::directory_of("tikv://pd:2379").unwrap(), None);
    }

    #[test]
    fn urls_of_clusters_say_where_and_how() {
        let addresses = vec!["pd1:2379".to_string(), "[::1]:2379".to_string()];
        let cluster = Cluster { addresses: addresses.clone(), ..Cluster::default() };
        assert_eq!(Target::parse("tikv://pd1:2379,[::1]:2379"), Ok(Target::Cluster(cluster)));
        let cluster = Cluster {
            addresses,
            prefix: b"app/a b".to_vec(),
            keyspace: Some("one&two".to_string()),
            is_pessimistic: true,
            tls: Some(["/ca.pem", "/cert.pem", "/key.pem"].map(PathBuf::from)),
        };
        let url = "tikv://pd1:2379,[::1]:2379/app/a%20b?keyspace=one%26two&concurrency=pessimistic&ca=/ca.pem&cert=/cert.pem&key=/key.pem";
        assert_eq!(Target::parse(url), Ok(Target::Cluster(cluster)));
    }

    #[test]
    fn what_names_nothing_is_refused_with_a_reason() {
        for (url, reason) in [
            ("", "empty"),
            ("memory:x", "nothing after"),
            ("file:", "a path"),
            ("file://host/data", "on this machine"),
            ("file:data?x=1", "no settings"),
            ("postgres://localhost/app", "postgres"),
            ("tikv:pd:2379", "tikv://"),
            ("tikv://", "addresses"),
            ("tikv://a:1,,b:2", "addresses"),
            ("tikv://user@a:1", "users"),
            ("tikv://a:1?x=1", "no setting \"x\""),
            ("tikv://a:1?keyspace", "expected `=`"),
            ("tikv://a:1?keyspace=a&keyspace=b", "twice"),
            ("tikv://a:1?concurrency=some", "some"),
            ("tikv://a:1?ca=/x", "`cert`"),
            ("tikv://a:1/%zz", "hexadecimal"),
            ("file:/a%2", "hexadecimal"),
            ("file:/%ff", "UTF-8"),
        ] {
            let found = Target::parse(url).unwrap_err();
            assert!(found.contains(reason), "{url}: {found}");
        }
    }

    #[tokio::test]
    async fn an_error_tells_the_url() {
        let error = Database::open("postgres://localhost/app").await.unwrap_err();
        assert!(matches!(&error, TitoError::InvalidUrl { url, .. } if url == "postgres://localhost/app"), "{error:?}");
        let error = Database::open("postgres://ada:secret@localhost/app").await.unwrap_err().to_string();
        assert!(error.contains("postgres://…@localhost/app") && !error.contains("secret"), "{error}");
    }
}
