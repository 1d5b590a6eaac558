//! Downloads files of a repository as Rust's users do, and says where they are.
//!
//! hf-hub-1-client REPOSITORY FILE...

use hf_hub::{HFClientSync, HFResult};

fn main() {
    if let Err(error) = download(&std::env::args().skip(1).collect::<Vec<_>>()) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn download(arguments: &[String]) -> HFResult<()> {
    let client = HFClientSync::new()?;
    let (owner, name) = arguments[0].split_once('/').expect("a repository is OWNER/NAME");
    for file in &arguments[1..] {
        let model = client.model(owner, name);
        println!("{}", model.download_file().filename(file.as_str()).send()?.display());
    }
    Ok(())
}
