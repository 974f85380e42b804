precondor_sdk::export_plugin!();
