# Every user signs in with a token of IAM, for which id and name must be the same.
resource "aws_elasticache_user" "iam" {
  for_each = var.users

  user_id       = "${var.name_prefix}-${each.key}"
  user_name     = "${var.name_prefix}-${each.key}"
  engine        = "REDIS"
  access_string = each.value

  authentication_mode {
    type = "iam"
  }
}

# A user group must have a user of this name; this one is switched off and may do nothing.
resource "aws_elasticache_user" "default" {
  user_id       = "${var.name_prefix}-default"
  user_name     = "default"
  engine        = "REDIS"
  access_string = "off -@all"

  authentication_mode {
    type = "no-password-required"
  }
}

resource "aws_elasticache_user_group" "redis" {
  user_group_id = "redis-users-${var.name_prefix}"
  engine        = "REDIS"
  user_ids = concat(
    [aws_elasticache_user.default.user_id],
    [for user in aws_elasticache_user.iam : user.user_id],
  )
}
