// Holds a template to cdk-nag's rules: node nag.js TEMPLATE ACKNOWLEDGED. It fails for a
// finding that is not acknowledged, and for an acknowledgment that finds nothing.
const fs = require('fs'), os = require('os'), path = require('path');
const { App, Stack, Validations } = require('aws-cdk-lib');
const { CfnInclude } = require('aws-cdk-lib/cloudformation-include');
const { AwsSolutionsChecks, ServerlessChecks } = require('cdk-nag');

const [file, acknowledged] = process.argv.slice(2);
const template = JSON.parse(fs.readFileSync(file));
delete template.Rules; // the CDK's own
delete template.Parameters;
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'strongroom-nag-'));
try {
  const plain = path.join(folder, 'template.json');
  fs.writeFileSync(plain, JSON.stringify(template));
  const app = new App({ outdir: path.join(folder, 'out') });
  Validations.of(app).addPlugins(new AwsSolutionsChecks(), new ServerlessChecks());
  new CfnInclude(new Stack(app, 'Strongroom'), 'Template', { templateFile: plain });
  console.log = console.error = () => {}; // the report is read from its file
  try { app.synth(); } catch { /* findings fail it */ }
  process.exitCode = 0;
  report(path.join(folder, 'out'));
} finally {
  fs.rmSync(folder, { recursive: true });
}

function report(out) {
  const name = fs.readdirSync(out).find((f) => f.includes('validation-report'));
  if (!name) throw new Error(`there is no report in ${out}: ${fs.readdirSync(out)}`);
  const found = new Map();
  for (const plugin of JSON.parse(fs.readFileSync(path.join(out, name))).pluginReports) {
    for (const violation of plugin.violations) {
      for (const at of violation.violatingResources ?? violation.violatingConstructs) {
        const id = (at.constructPath ?? at.resourceLogicalId).split('/').pop();
        found.set(`${violation.ruleName} ${id}`, violation.description);
      }
    }
  }
  const known = JSON.parse(fs.readFileSync(acknowledged));
  const match = (key, a) => key.startsWith(a.rule) && a.resources.some((r) => key.split(' ')[1].startsWith(r));
  let wrong = 0;
  for (const [key, text] of found) {
    if (!known.some((a) => match(key, a))) { process.stdout.write(`${key}: ${text}\n`); wrong++; }
  }
  for (const a of known) {
    for (const r of a.resources) {
      if (![...found.keys()].some((key) => match(key, { rule: a.rule, resources: [r] }))) {
        process.stdout.write(`${a.rule} finds nothing at ${r}: take the acknowledgment out\n`); wrong++;
      }
    }
  }
  process.stdout.write(`cdk-nag: ${found.size} findings, ${wrong} of them or of the acknowledgments to look at\n`);
  if (wrong) process.exitCode = 1;
}
