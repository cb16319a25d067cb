//! Serves an in-process TiKV cluster on fixed ports until Ctrl-C.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;
use std::time::Duration;

use tito_mock_tikv::{MockCluster, MockClusterBuilder, TikvVersion};

const HELP: &str = "\
Serves a TiKV cluster with its PD on loopback ports until Ctrl-C. Everything is in memory, and gone at the end.

Usage: tito-mock-tikv [OPTION]...

  --pd-port PORT        port of PD's first member, others follow it (default 2379; 0 is any)
  --pd-members COUNT    members of PD (default 1)
  --store-port PORT     port of the first store, others follow it (default 20160; 0 is any)
  --stores COUNT        stores (default 3)
  --split KEY           let a region begin at this key of transactions; may be repeated. A key that begins with 0x is in hex
  --keyspace NAME       make a keyspace; may be repeated. The first has the number 1
  --tikv VERSION        play this version of TiKV: 7.5, 8.5 or 9.0 (default)
  --seed NUMBER         seed of all that is random: the cluster's number, and --shuffle (default: another each time)
  --shuffle MILLIS      split, merge or move a region at random, so often
  --help                print this
";

struct Options {
    builder: MockClusterBuilder,
    seed: u64,
    shuffle: Option<Duration>,
}

fn number<N: std::str::FromStr>(name: &str, value: &str) -> Result<N, String> {
    value.parse().map_err(|_| format!("{name} wants a number, not {value:?}"))
}

fn key(value: &str) -> Result<Vec<u8>, String> {
    let Some(digits) = value.strip_prefix("0x") else { return Ok(value.as_bytes().to_vec()) };
    let pairs: Vec<&[u8]> = digits.as_bytes().chunks(2).collect();
    let byte = |pair: &&[u8]| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    };
    pairs.iter().map(byte).collect::<Option<Vec<u8>>>().ok_or_else(|| format!("{value:?} is not a key in hex"))
}

/// The options; `None` if help is requested.
fn options(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut builder = MockCluster::builder().pd_port(2379).store_port(20160).stores(3);
    let mut seed = None;
    let mut shuffle = None;
    while let Some(name) = arguments.next() {
        if name == "--help" || name == "-h" {
            return Ok(None);
        }
        let value = arguments.next().ok_or_else(|| format!("{name} is unknown, or wants a value"))?;
        builder = match name.as_str() {
            "--pd-port" => builder.pd_port(number(&name, &value)?),
            "--pd-members" => builder.pd_members(number(&name, &value)?),
            "--store-port" => builder.store_port(number(&name, &value)?),
            "--stores" => builder.stores(number(&name, &value)?),
            "--split" => builder.split_at([key(&value)?]),
            "--keyspace" => builder.keyspaces([value]),
            "--tikv" => builder.version(match value.as_str() {
                "7.5" => TikvVersion::V7_5,
                "8.5" => TikvVersion::V8_5,
                "9.0" => TikvVersion::V9_0,
                _ => return Err(format!("there is no version {value:?} to play: 7.5, 8.5 or 9.0")),
            }),
            "--seed" => {
                seed = Some(number(&name, &value)?);
                builder
            }
            "--shuffle" => {
                shuffle = Some(Duration::from_millis(number(&name, &value)?));
                builder
            }
            _ => return Err(format!("there is no option {name}; --help lists them")),
        };
    }
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    Ok(Some(Options { builder: builder.seed(seed), seed, shuffle }))
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match serve(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let cluster = options.builder.start().await?;
    println!("PD {}", cluster.pd_endpoints().join(","));
    for store in cluster.stores() {
        println!("store {} {}", store.id, store.address);
    }
    println!("seed {}", options.seed);
    println!("{} regions, ready", cluster.regions().len());
    let ended = tokio::signal::ctrl_c();
    tokio::pin!(ended);
    let mut random = fastrand::Rng::with_seed(options.seed);
    loop {
        let pause = async {
            match options.shuffle {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = &mut ended => {
                ended?;
                break;
            }
            () = pause => println!("{:?}", cluster.shuffle(&mut random)),
        }
    }
    cluster.shutdown().await;
    Ok(())
}
