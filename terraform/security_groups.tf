# The security-group matrix: one line a connection, and from it one rule at each end. The groups
# themselves are made by the modules of their components, without rules.

locals {
  groups = merge(
    { for name, function in module.lambda.functions : name => function.security_group_id },
    {
      nlb       = module.nlb.security_group_id
      broker    = module.ecs.security_group_id
      efs       = module.ecs.efs_security_group_id
      aurora    = module.rds.security_group_id
      redis     = module.elasticache.security_group_id
      alb       = module.alb.security_group_id
      portal    = module.ec2.security_group_id
      endpoints = module.vpc.endpoints_security_group_id
    },
  )

  mqtts = 8883
  # The broker is reached from outside on these; functions always use TLS.
  mqtt_ports = toset(concat([local.mqtts], var.mqtt_plain_enabled ? [1883] : []))

  # Who calls AWS: messages, secrets, images and logs.
  callers = concat(
    [for name, of in local.functions : name if length(of.sends_to) > 0 || of.broker_user != "" || of.database_owner || of.operator],
    ["broker", "portal"],
  )

  connections = { for connection in concat(
    [for port in local.mqtt_ports : { from = "nlb", to = "broker", port = port }],
    [for name, of in local.functions : { from = name, to = "broker", port = local.mqtts } if of.broker_user != ""],
    [for name, of in local.functions : { from = name, to = "aurora", port = 5432 } if of.database || of.database_owner],
    [for name, of in local.functions : { from = name, to = "redis", port = 6379 } if of.cache],
    [for name in local.callers : { from = name, to = "endpoints", port = 443 } if var.private_access == "endpoints"],
    [
      { from = "broker", to = "efs", port = 2049 },
      { from = "alb", to = "portal", port = local.portal_port },
      { from = "portal", to = "aurora", port = 5432 },
      { from = "portal", to = "redis", port = 6379 },
    ],
  ) : "${connection.from}-${connection.to}-${connection.port}" => connection }

  # Who reads and writes S3, behind its gateway endpoint: image layers, bundle, password file.
  s3_callers = concat([for name, of in local.functions : name if of.operator], ["broker", "portal"])
}

resource "aws_vpc_security_group_egress_rule" "connection" {
  for_each = local.connections

  security_group_id            = local.groups[each.value.from]
  referenced_security_group_id = local.groups[each.value.to]
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  description                  = "To ${each.value.to}"
}

resource "aws_vpc_security_group_ingress_rule" "connection" {
  for_each = local.connections

  security_group_id            = local.groups[each.value.to]
  referenced_security_group_id = local.groups[each.value.from]
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  description                  = "From ${each.value.from}"
}

resource "aws_vpc_security_group_egress_rule" "s3" {
  for_each = toset(local.s3_callers)

  security_group_id = local.groups[each.key]
  prefix_list_id    = module.vpc.s3_prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  description       = "To S3"
}

# With NAT the callers reach AWS by its public addresses, which no group stands for.
resource "aws_vpc_security_group_egress_rule" "internet" {
  for_each = toset(var.private_access == "nat" ? local.callers : [])

  security_group_id = local.groups[each.key]
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  description       = "To AWS, over NAT"
}

# Devices.
resource "aws_vpc_security_group_ingress_rule" "devices" {
  for_each = { for pair in setproduct(local.mqtt_ports, var.device_cidrs) : "${pair[0]}-${pair[1]}" => { port = pair[0], cidr = pair[1] } }

  security_group_id = local.groups["nlb"]
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  description       = "From devices"
}

# CloudFront. The list counts as 55 of a group's 60 rules: there is no room for it twice.
data "aws_ec2_managed_prefix_list" "cloudfront" {
  name = "com.amazonaws.global.cloudfront.origin-facing"
}

resource "aws_vpc_security_group_ingress_rule" "cloudfront" {
  security_group_id = local.groups["alb"]
  prefix_list_id    = data.aws_ec2_managed_prefix_list.cloudfront.id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  description       = "From CloudFront"
}
