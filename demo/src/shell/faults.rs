//! Faults, cures and what came to light.

use super::{Cluster, Code, Failure, FaultKind, Replica, Report, Shell};
use crate::cluster::{GroupStatus, kind::reaches};

impl<C: Cluster> Shell<C> {
    pub(super) async fn status(&self, only: Option<&str>) -> Result<Report, Failure> {
        if let Some(name) = only {
            self.group(name)?;
        }
        let mut groups = self.cluster.status().await?;
        groups.retain(|group| only.is_none_or(|only| only == group.name));
        Ok(Report::Status { groups })
    }

    pub(super) async fn fault(
        &self,
        at: Replica,
        kind: FaultKind,
        force: bool,
    ) -> Result<Report, Failure> {
        self.check_replica(&at)?;
        let group = self.group(&at.group)?;
        let status = self.cluster.status().await?;
        let others = faulty(&status).filter(|replica| replica.group == at.group && **replica != at);
        let others: Vec<_> = others.map(ToString::to_string).collect();
        if others.len() >= usize::from(group.f) && !force {
            return Err(Failure::beyond_f(&at, group.n, group.f, &others));
        }
        self.cluster.fault(&at, kind).await?;
        let (faulty, tolerates) = (others.len() + 1, group.f);
        Ok(Report::Injected { replica: at, kind, reaches: reaches(kind), faulty, tolerates })
    }

    pub(super) async fn heal(&self, only: Option<Replica>) -> Result<Report, Failure> {
        let healed = if let Some(at) = only {
            self.check_replica(&at)?;
            vec![at]
        } else {
            let status = self.cluster.status().await?;
            let replicas = status.iter().flat_map(|group| &group.replicas);
            replicas.filter(|it| it.fault.is_some()).map(|it| it.id.clone()).collect()
        };
        for at in &healed {
            self.cluster.heal(at).await?;
        }
        Ok(Report::Healed { healed })
    }

    pub(super) async fn evidence(&self, limit: Option<usize>) -> Result<Report, Failure> {
        let mut items = self.cluster.evidence().await?;
        items.truncate(limit.unwrap_or(usize::MAX));
        Ok(Report::Evidence { items })
    }

    fn check_replica(&self, at: &Replica) -> Result<(), Failure> {
        let group = self.group(&at.group)?;
        if at.index < group.n {
            return Ok(());
        }
        Err(Failure::new(
            Code::UnknownReplica,
            format!("group `{}` has no replica {}", group.name, at.index),
            format!("its replicas are {0}[0] to {0}[{1}]", group.name, group.n - 1),
        ))
    }
}

/// Who uses up one of the faults that its group tolerates.
fn faulty(status: &[GroupStatus]) -> impl Iterator<Item = &Replica> {
    let replicas = status.iter().flat_map(|group| &group.replicas);
    replicas.filter(|it| it.fault.is_some() || it.state.is_fault()).map(|it| &it.id)
}
