// Answers IAM simulations, one JSON document a line, with what AWS would decide.
import { createInterface } from 'node:readline'
import { runSimulation } from '@cloud-copilot/iam-simulate'

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await runSimulation(JSON.parse(line), {})
  const decision = answer.resultType === 'error' ? answer.errors : answer.overallResult
  process.stdout.write(JSON.stringify(decision) + '\n')
}
