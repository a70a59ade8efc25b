# Passwords of Plumbline's own users at the broker. Secrets Manager makes them; they are written
# without entering the plan or the state.

locals {
  service_users = toset(["ingest", "command", "lorawan_command", "monitor"])
}

resource "aws_secretsmanager_secret" "service_user" {
  # checkov:skip=CKV2_AWS_57: broker and functions change at the same moment or not at all: by broker_password_version

  for_each = local.service_users

  name                    = "secret-${var.name_prefix}-broker-${replace(each.key, "_", "-")}"
  description             = "Password of plumbline-${replace(each.key, "_", "-")} at the broker"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = 0 # a new deployment of the same name must be able to make it again
}

# Not known before the first apply, so that a plan from empty asks AWS for nothing.
resource "terraform_data" "password_length" {
  input = 40
}

ephemeral "aws_secretsmanager_random_password" "service_user" {
  for_each = local.service_users

  password_length     = terraform_data.password_length.output
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret_version" "service_user" {
  for_each = local.service_users

  secret_id                = aws_secretsmanager_secret.service_user[each.key].id
  secret_string_wo         = ephemeral.aws_secretsmanager_random_password.service_user[each.key].random_password
  secret_string_wo_version = var.password_version
}

# {"certificate": "PEM chain", "private_key": "PEM"}: put there by whoever has the certificate.
resource "aws_secretsmanager_secret" "tls" {
  # checkov:skip=CKV2_AWS_57: comes from whoever issues the certificate

  name                    = "secret-${var.name_prefix}-broker-tls"
  description             = "Certificate chain and private key of the broker"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = 0
}
