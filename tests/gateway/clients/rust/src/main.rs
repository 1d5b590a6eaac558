//! Downloads files of a repository as Rust's users do, and says where they are.
//!
//! hf-hub-client REPOSITORY FILE...

use hf_hub::api::sync::{ApiBuilder, ApiError};

fn main() {
    if let Err(error) = download(&std::env::args().skip(1).collect::<Vec<_>>()) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn download(arguments: &[String]) -> Result<(), ApiError> {
    let api = ApiBuilder::from_env().with_progress(false).build()?;
    let repository = api.model(arguments[0].clone());
    for file in &arguments[1..] {
        println!("{}", repository.get(file)?.display());
    }
    Ok(())
}
