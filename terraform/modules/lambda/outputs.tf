output "functions" {
  description = "By the topology's name: function_name, arn, log_group_name, security_group_id."
  value = { for name, function in aws_lambda_function.main : name => {
    function_name     = function.function_name
    arn               = function.arn
    log_group_name    = aws_cloudwatch_log_group.lambda[name].name
    security_group_id = aws_security_group.lambda[name].id
  } }
}
