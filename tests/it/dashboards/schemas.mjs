// Reads a list of dashboards as JSON and validates each dashboard with schemas. The schemas are
// generated from the types of @grafana/schema. The schema of a dashboard does not cover the options
// of panels, so each kind of panel has its own schemas. Run this script in the folder of the npm
// packages. It stores the schemas there. The file name has the version of @grafana/schema.
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.cwd()}/`);
const { default: Ajv } = require("ajv");
const { createGenerator } = require("ts-json-schema-generator");

const KINDS = {
  bargauge: ["Options"],
  heatmap: ["Options", "FieldConfig"],
  stat: ["Options"],
  "state-timeline": ["Options", "FieldConfig"],
  table: ["Options", "FieldConfig"],
  timeseries: ["Options", "FieldConfig"],
};
const TARGET = {
  type: "object",
  additionalProperties: false,
  required: ["datasource", "expr", "refId", "format", "legendFormat", "instant", "range"],
  properties: {
    datasource: { type: "object" },
    editorMode: { enum: ["code"] },
    expr: { type: "string", minLength: 1 },
    format: { enum: ["time_series", "table", "heatmap"] },
    instant: { type: "boolean" },
    legendFormat: { type: "string" },
    range: { type: "boolean" },
    refId: { type: "string", pattern: "^[A-Z]$" },
  },
};

function generate() {
  const types = "node_modules/@grafana/schema/dist/types/raw";
  const schema = (path, type) =>
    createGenerator({ path: `${types}/${path}/x/types.gen.d.ts`, type, skipTypeCheck: true }).createSchema(type);
  const all = { Dashboard: schema("dashboard", "Dashboard"), kinds: KINDS };
  // The schemas forbid additional properties. Grafana's own definitions of these types allow them.
  for (const open of ["VariableModel", "AnnotationQuery", "AnnotationTarget"]) {
    all.Dashboard.definitions[open].additionalProperties = true;
  }
  for (const [kind, parts] of Object.entries(KINDS)) {
    for (const part of parts) {
      all[`${kind} ${part}`] = schema(`composable/${kind.replace("-", "")}/panelcfg`, part);
    }
  }
  return all;
}

function schemas() {
  const { version } = JSON.parse(readFileSync("node_modules/@grafana/schema/package.json", "utf8"));
  const cache = `grafana-schemas-${version}.json`;
  const kept = existsSync(cache) ? JSON.parse(readFileSync(cache, "utf8")) : {};
  if (JSON.stringify(kept.kinds) === JSON.stringify(KINDS)) return kept;
  const made = `${cache}.${process.pid}`;
  const all = generate();
  writeFileSync(made, JSON.stringify(all));
  renameSync(made, cache);
  return all;
}

const ajv = new Ajv({ strict: false, allErrors: true });
const { kinds: _, ...made } = schemas();
const judges = Object.fromEntries(
  Object.entries({ ...made, target: TARGET }).map(([name, schema]) => [name, ajv.compile(schema)]),
);

function judge(where, name, value) {
  if (!judges[name]) {
    console.log(`${where}: there is no schema for ${name}`);
    process.exitCode = 1;
  } else if (!judges[name](value)) {
    for (const { instancePath, message, params } of judges[name].errors) {
      console.log(`${where}${instancePath}: ${message} ${JSON.stringify(params)}`);
    }
    process.exitCode = 1;
  }
}

for (const dashboard of JSON.parse(readFileSync(0, "utf8"))) {
  judge(dashboard.uid, "Dashboard", dashboard);
  for (const panel of dashboard.panels.filter((panel) => panel.type !== "row")) {
    const where = `${dashboard.uid}, ${panel.title}`;
    judge(`${where}: options`, `${panel.type} Options`, panel.options);
    if (KINDS[panel.type]?.includes("FieldConfig")) {
      judge(`${where}: custom`, `${panel.type} FieldConfig`, panel.fieldConfig.defaults.custom ?? {});
    }
    for (const target of panel.targets ?? []) judge(`${where}: target`, "target", target);
  }
}
