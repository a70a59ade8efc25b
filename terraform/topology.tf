# What runs, from the one description (src/plumbline/topology.py writes topology.json), and what
# each function may reach. Environment, role and security group all follow from `reach`.

locals {
  topology = jsondecode(file("${path.module}/topology.json"))

  # What the ledger counts, in `operate` and in the portal.
  accounted_queues = ["distributing", "db1"]

  nothing = {
    broker_user    = ""    # signs in at the broker as plumbline-…, alone: a second one would end it
    sends_to       = []    # queues
    counts         = []    # queues: how much they and their dead-letter queues hold
    database       = false # as a user of its own
    database_owner = false # with the master user's secret
    cache          = false # as a user of its own
    operator       = false # writes the broker's password file
  }

  # A function of the topology that is not here fails the plan.
  reach = { for name, needs in {
    # The device registry tells it which LoRaWAN device has which codec.
    parsing         = { broker_user = "ingest", sends_to = ["distributing"], database = true }
    distributing    = { sends_to = ["db1"] }
    db1             = { database = true }
    sync            = { database = true, cache = true }
    maintenance     = { database = true }
    mqtt_command    = { broker_user = "command", sends_to = ["distributing"] }
    lorawan_command = { broker_user = "lorawan_command", sends_to = ["distributing"] }
    migrate         = { database_owner = true }
    operate         = { sends_to = ["distributing"], counts = local.accounted_queues, database = true, cache = true, operator = true }
  } : name => merge(local.nothing, needs) }

  # Where the document's name is not the topology's.
  document_names = {
    sync            = "data-transmission"
    mqtt_command    = "mqtt-cmd-handler"
    lorawan_command = "lorawan-cmd-handler"
  }

  functions = { for name, function in merge(local.topology.functions, {
    parsing = merge(local.topology.functions.parsing, {
      timeout_s = var.lambda_parsing_timeout
      memory_mb = var.lambda_parsing_memory
    })
    }) : name => merge(function, local.reach[name], {
    function_name = "lambda-${local.name_prefix}-${lookup(local.document_names, name, replace(name, "_", "-"))}"
  }) }

  # rate(5 minutes), rate(1 day)
  schedule_units = { for name, schedule in local.topology.schedules : name => (
    schedule.period_s % 86400 == 0 ? { count = schedule.period_s / 86400, unit = "day" } :
    schedule.period_s % 3600 == 0 ? { count = schedule.period_s / 3600, unit = "hour" } :
    { count = schedule.period_s / 60, unit = "minute" }
  ) }
  schedule_expressions = merge(
    { for name, period in local.schedule_units : name => "rate(${period.count} ${period.unit}${period.count == 1 ? "" : "s"})" },
    {
      ingestion = var.ingestion_schedule_expression
      sync      = var.sync_schedule_expression
    },
  )

  # What did not run by the time of the next run need not be run any more.
  retries = { for name, schedule in local.topology.schedules : schedule.function => {
    max_retries = schedule.max_retries
    max_age_s   = max(60, min(schedule.period_s, 21600))
  } }
}
