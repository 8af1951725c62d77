//! Commands that need a cluster, systemd, Docker or another repository. The tests do not run these
//! commands, but compare them with known commands.

use std::path::Path;

use super::page::commands;
use crate::harness::judge;

const FORMS: [&str; 8] = [
    "chronyc tracking || timedatectl timesync-status",
    "kubectl describe pod -l app.kubernetes.io/name=vobiz-exporter | grep -A5 'Last State'",
    "kubectl exec deploy/vobiz-exporter -- /usr/bin/vobiz-exporter ...",
    "kubectl get deploy,endpoints,servicemonitor -A | grep vobiz",
    "docker exec CONTAINER /usr/bin/vobiz-exporter ...",
    "systemctl reload vobiz-exporter",
    "systemctl restart vobiz-exporter",
    "systemctl status vobiz-exporter; journalctl -u vobiz-exporter -n 50",
];

/// Whether the text is exactly one of the known commands.
pub fn is_known(command: &str) -> bool {
    FORMS.contains(&command)
}

#[tokio::test]
async fn every_command_is_valid_shell_and_every_known_form_is_used() {
    let all = commands();
    for command in &all {
        let judged = judge(Path::new("bash"), &["-n", "-c", &command.text], "").await;
        assert_eq!(
            (judged.code, judged.err.as_str()),
            (Some(0), ""),
            "{command:?}"
        );
    }
    for form in FORMS {
        assert!(all.iter().any(|command| command.text == form), "{form}");
    }
}

/// The known commands use the names in the manifests and in the package.
#[test]
fn the_forms_name_what_the_manifests_and_the_package_name() {
    let manifests = ["deployment.yaml", "service.yaml"]
        .map(|file| crate::rules::read(&format!("deploy/kubernetes/{file}")));
    let label = "app.kubernetes.io/name: vobiz-exporter\n";
    assert!(manifests.iter().all(|text| text.contains(label)));
    assert!(manifests[0].contains("kind: Deployment\nmetadata:\n  name: vobiz-exporter\n"));
    assert!(crate::rules::path("deploy/systemd/vobiz-exporter.service").is_file());
}
