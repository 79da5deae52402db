//! The console's tour as a program: a transaction over two groups, while one member of each lies.

use maftia::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    maftia::run(async {
        let config = Config::parse(Config::sample())?;
        let cluster = Cluster::embedded(config, &maftia::seed()?).await?;
        let (client, assembly) = (cluster.client(), cluster.assembly());

        let transaction = Transaction::begin(client, assembly).await?;
        transaction.transfer("left/alice", "right/bob", 30).await?;
        let outcome = transaction.commit().await?;
        println!("30 from alice to bob: {}", outcome.word());

        let group = |name| assembly.config().named(name).expect("it is in the sample").id;
        cluster.fault(group("left"), PartyId::new(2), FaultKind::CorruptReply).await?;
        cluster.fault(group("right"), PartyId::new(3), FaultKind::Crash).await?;

        let transaction = Transaction::begin(client, assembly).await?;
        transaction.transfer("right/bob", "left/alice", 5).await?;
        let alice = transaction.read("left/alice").await?;
        let (agree, of) = (alice.votes.agree.len(), alice.votes.of);
        println!("alice has {}, say {agree} of {of}", alice.value.value);
        assert_eq!((alice.value.value.as_str(), agree, of), ("75", 3, 4));
        let outcome = transaction.commit().await?;
        println!("5 from bob to alice: {}", outcome.word());
        assert_eq!(outcome, Outcome::Committed);

        for item in cluster.evidence(&[]).await {
            println!("{:?} {}: {} ({})", item.culprit, item.kind, item.text, item.class);
        }
        Ok(())
    })
}
