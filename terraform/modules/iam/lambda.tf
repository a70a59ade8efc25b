# One role a function: iam-role-…-lambda-parsing and so on, each with one policy of its own.

locals {
  # All that Lambda asks for a function in a VPC (AWSLambdaVPCAccessExecutionRole without its logs).
  network_actions = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
  ]

  statements = { for name, uses in var.functions : name => concat(
    [
      {
        Sid      = "WriteItsLog"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${uses.log_group_arn}:*"]
      },
      {
        # Lambda makes the function's network interfaces with the function's role. AWS asks for "*":
        # Describe knows no resources, and the interfaces do not exist yet.
        Sid      = "NetworkInterfaces"
        Effect   = "Allow"
        Action   = local.network_actions
        Resource = ["*"]
      },
      {
        # Lambda may do so, the function's own code may not.
        Sid       = "NotByItsCode"
        Effect    = "Deny"
        Action    = local.network_actions
        Resource  = ["*"]
        Condition = { ArnEquals = { "lambda:SourceFunctionArn" = uses.function_arn } }
      },
    ],
    [for queues in [uses.consumes] : {
      Sid      = "TakeMessages"
      Effect   = "Allow"
      Action   = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
      Resource = queues
    } if length(queues) > 0],
    [for queues in [uses.sends_to] : {
      Sid      = "SendMessages"
      Effect   = "Allow"
      Action   = ["sqs:SendMessage"]
      Resource = queues
    } if length(queues) > 0],
    [for queues in [uses.counts] : {
      Sid      = "CountMessages"
      Effect   = "Allow"
      Action   = ["sqs:GetQueueAttributes"]
      Resource = queues
    } if length(queues) > 0],
    [for users in [uses.database_users] : {
      Sid      = "SignInToTheDatabase"
      Effect   = "Allow"
      Action   = ["rds-db:connect"]
      Resource = users
    } if length(users) > 0],
    [for users in [uses.cache_users] : {
      Sid      = "SignInToTheCache"
      Effect   = "Allow"
      Action   = ["elasticache:Connect"]
      Resource = concat([var.replication_group_arn], users)
    } if length(users) > 0],
    [for secrets in [uses.secrets] : {
      Sid      = "ReadSecrets"
      Effect   = "Allow"
      Action   = ["secretsmanager:GetSecretValue"]
      Resource = secrets
    } if length(secrets) > 0],
    [for secrets in [uses.secrets] : {
      Sid       = "DecryptSecrets"
      Effect    = "Allow"
      Action    = ["kms:Decrypt"]
      Resource  = [var.kms_key_arn]
      Condition = { StringEquals = { "kms:EncryptionContext:SecretARN" = secrets } }
    } if length(secrets) > 0],
    [for object in uses.password_objects : {
      Sid      = "ReadAndWriteTheBrokersPasswordFile"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:PutObject"]
      Resource = ["${object.bucket_arn}/${object.key}"]
    }],
    [for object in uses.password_objects : {
      # Without it a missing object would be a refusal.
      Sid       = "TellThatTheFileIsAbsent"
      Effect    = "Allow"
      Action    = ["s3:ListBucket"]
      Resource  = [object.bucket_arn]
      Condition = { StringEquals = { "s3:prefix" = object.key } }
    }],
  ) }
}

resource "aws_iam_role" "lambda" {
  for_each = var.functions

  name        = "iam-role-${var.name_prefix}-lambda-${replace(each.key, "_", "-")}"
  description = "Of the function ${each.key}, and of nothing else"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_policy" "lambda" {
  for_each = var.functions

  name        = "iam-policy-${var.name_prefix}-lambda-${replace(each.key, "_", "-")}"
  description = "What the function ${each.key} needs"
  policy      = jsonencode({ Version = "2012-10-17", Statement = local.statements[each.key] })
}

resource "aws_iam_role_policy_attachment" "lambda" {
  for_each = var.functions

  role       = aws_iam_role.lambda[each.key].name
  policy_arn = aws_iam_policy.lambda[each.key].arn
}
