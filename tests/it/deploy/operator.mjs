// Reads a list of Kubernetes objects as JSON and validates the objects of the Prometheus operator.
// Run this script in the folder that has the package @kubernetes-models/prometheus-operator.
import { readFileSync } from "node:fs";

const models = await import("@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1");
for (const object of JSON.parse(readFileSync(0, "utf8"))) {
  if (object.apiVersion !== "monitoring.coreos.com/v1") continue;
  try {
    new models[object.kind](object).validate();
    console.log(`${object.kind} ${object.metadata.name}: good`);
  } catch (error) {
    console.log(`${object.kind} ${object.metadata.name}: ${error.message}`);
    process.exitCode = 1;
  }
}
