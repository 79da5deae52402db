//! Threshold cipher: what is encrypted to the group is opened when more than `f` members want it, and
//! only under the label that it was made for.

use maftia::cs::{CipherError, Group, ThresholdCipher};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    maftia::run(async {
        let group: Group = Group::embedded(4).await?;
        let mut ends = group.open::<ThresholdCipher>("patent office").await?;
        let wheel = "a wheel that turns itself".to_owned();
        let sealed = ends[0].encrypt("alice", &wheel)?;

        let copy = ends.remove(3).open::<String>("mallory", &sealed).await;
        assert!(matches!(copy, Err(CipherError::Invalid)), "nobody opens a copy in another name");

        let mut readers = Vec::new();
        for end in ends {
            let sealed = sealed.clone();
            let read = async move { end.open::<String>("alice", &sealed).await };
            readers.push(tokio::task::spawn_local(read));
        }
        for reader in readers {
            let read = reader.await??;
            println!("opened: {read}");
            assert_eq!(read, wheel);
        }
        Ok(())
    })
}
